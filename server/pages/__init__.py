"""HTML: what people open in a browser outside a meeting, and the page that a meeting starts from."""
