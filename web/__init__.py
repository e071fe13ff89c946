"""Nothing yet: the studio in the browser and the HTTP service will stand here."""
