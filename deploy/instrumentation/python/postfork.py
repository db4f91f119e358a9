"""For uWSGI: OpenTelemetry in each worker, after the fork and before the service is loaded.

A thread does not live through a fork. What is set up in the master has no thread in the workers
that sends metrics, and all workers share one service.instance.id.
"""

import uwsgi
from opentelemetry.instrumentation.auto_instrumentation import initialize

if uwsgi.worker_id() == 0:
    raise RuntimeError("postfork is imported before the fork: uWSGI needs lazy-apps = true")
initialize()
