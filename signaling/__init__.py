"""The realtime protocol and live rooms."""
