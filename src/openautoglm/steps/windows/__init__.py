"""Windows of rows: where they come from, and judging one beside the reference split."""
