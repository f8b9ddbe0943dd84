"""The main job: load a deployment, watch it, compare client and server, and judge."""
