"""Baggage with anomaly labels becomes attributes of spans; no variable of the SDK does that.

`pip install` of this folder is enough where a service is started by opentelemetry-instrument. A
service that sets up its own SDK calls install() afterwards.
"""

from opentelemetry import trace
from opentelemetry.processor.baggage import BaggageSpanProcessor


def is_label(key):
    """Other baggage may be somebody's secret."""
    return key.startswith("anomaly.") or key == "loadgen.run_id"


def install():
    """Adds the processor to the SDK that is in force."""
    trace.get_tracer_provider().add_span_processor(BaggageSpanProcessor(is_label))
