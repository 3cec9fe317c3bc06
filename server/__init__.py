"""The web application: what lasts, and what people open in a browser outside a meeting."""
