"""Fields of pipelines: sources, stages, services, devices, links and stores."""
