"""The packet engine's Python face: commands go down, events come up, and no media packet enters Python."""
