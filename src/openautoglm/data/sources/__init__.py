"""One kind of source a file; each copies its rows into a folder and says where they are from."""
