"""Nothing yet: the studio in the browser and the HTTP API will show the engine to people here (issue 5 and later)."""
