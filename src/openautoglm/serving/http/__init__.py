"""HTTP/1.1 on uvloop and httptools: connections, replies, and what each path answers."""
