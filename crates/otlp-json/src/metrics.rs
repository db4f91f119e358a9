//! Metric data points.

use super::attributes::{key_value, resource, scope};
use super::{Object, double, quoted_integer};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, metric, number_data_point,
};

/// Writes one line of `metrics.jsonl`, without the newline.
pub fn metrics_request(out: &mut Vec<u8>, request: &ExportMetricsServiceRequest) {
    let mut object = Object::open(out);
    object.list(
        "resourceMetrics",
        &request.resource_metrics,
        resource_metrics,
    );
    object.close();
}

fn resource_metrics(out: &mut Vec<u8>, group: &ResourceMetrics) {
    let mut object = Object::open(out);
    object.always("resource", group.resource.as_ref(), resource);
    object.list("scopeMetrics", &group.scope_metrics, scope_metrics);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn scope_metrics(out: &mut Vec<u8>, group: &ScopeMetrics) {
    let mut object = Object::open(out);
    object.always("scope", group.scope.as_ref(), scope);
    object.list("metrics", &group.metrics, metric);
    object.text("schemaUrl", &group.schema_url);
    object.close();
}

fn metric(out: &mut Vec<u8>, metric: &Metric) {
    let mut object = Object::open(out);
    object.text("name", &metric.name);
    object.text("description", &metric.description);
    object.text("unit", &metric.unit);
    match &metric.data {
        None => {}
        Some(metric::Data::Gauge(data)) => gauge(object.field("gauge"), data),
        Some(metric::Data::Sum(data)) => sum(object.field("sum"), data),
        Some(metric::Data::Histogram(data)) => histogram(object.field("histogram"), data),
        Some(metric::Data::ExponentialHistogram(data)) => {
            exponential_histogram(object.field("exponentialHistogram"), data);
        }
        Some(metric::Data::Summary(data)) => summary(object.field("summary"), data),
    }
    object.list("metadata", &metric.metadata, key_value);
    object.close();
}

fn gauge(out: &mut Vec<u8>, data: &Gauge) {
    let mut object = Object::open(out);
    object.list("dataPoints", &data.data_points, number_data_point);
    object.close();
}

fn sum(out: &mut Vec<u8>, data: &Sum) {
    let mut object = Object::open(out);
    object.list("dataPoints", &data.data_points, number_data_point);
    object.int32("aggregationTemporality", data.aggregation_temporality);
    object.flag("isMonotonic", data.is_monotonic);
    object.close();
}

fn histogram(out: &mut Vec<u8>, data: &Histogram) {
    let mut object = Object::open(out);
    object.list("dataPoints", &data.data_points, histogram_data_point);
    object.int32("aggregationTemporality", data.aggregation_temporality);
    object.close();
}

fn exponential_histogram(out: &mut Vec<u8>, data: &ExponentialHistogram) {
    let mut object = Object::open(out);
    object.list(
        "dataPoints",
        &data.data_points,
        exponential_histogram_data_point,
    );
    object.int32("aggregationTemporality", data.aggregation_temporality);
    object.close();
}

fn summary(out: &mut Vec<u8>, data: &Summary) {
    let mut object = Object::open(out);
    object.list("dataPoints", &data.data_points, summary_data_point);
    object.close();
}

fn number_data_point(out: &mut Vec<u8>, point: &NumberDataPoint) {
    let mut object = Object::open(out);
    object.list("attributes", &point.attributes, key_value);
    object.uint64("startTimeUnixNano", point.start_time_unix_nano);
    object.uint64("timeUnixNano", point.time_unix_nano);
    match point.value {
        None => {}
        Some(number_data_point::Value::AsDouble(value)) => double(object.field("asDouble"), value),
        Some(number_data_point::Value::AsInt(value)) => {
            quoted_integer(object.field("asInt"), value);
        }
    }
    object.list("exemplars", &point.exemplars, exemplar);
    object.int32("flags", point.flags);
    object.close();
}

fn histogram_data_point(out: &mut Vec<u8>, point: &HistogramDataPoint) {
    let mut object = Object::open(out);
    object.list("attributes", &point.attributes, key_value);
    object.uint64("startTimeUnixNano", point.start_time_unix_nano);
    object.uint64("timeUnixNano", point.time_unix_nano);
    object.uint64("count", point.count);
    object.optional_double("sum", point.sum);
    object.list("bucketCounts", &point.bucket_counts, |out, count| {
        quoted_integer(out, *count)
    });
    object.list("explicitBounds", &point.explicit_bounds, |out, bound| {
        double(out, *bound)
    });
    object.list("exemplars", &point.exemplars, exemplar);
    object.int32("flags", point.flags);
    object.optional_double("min", point.min);
    object.optional_double("max", point.max);
    object.close();
}

fn exponential_histogram_data_point(out: &mut Vec<u8>, point: &ExponentialHistogramDataPoint) {
    let mut object = Object::open(out);
    object.list("attributes", &point.attributes, key_value);
    object.uint64("startTimeUnixNano", point.start_time_unix_nano);
    object.uint64("timeUnixNano", point.time_unix_nano);
    object.uint64("count", point.count);
    object.optional_double("sum", point.sum);
    object.int32("scale", point.scale);
    object.uint64("zeroCount", point.zero_count);
    object.always("positive", point.positive.as_ref(), buckets);
    object.always("negative", point.negative.as_ref(), buckets);
    object.int32("flags", point.flags);
    object.list("exemplars", &point.exemplars, exemplar);
    object.optional_double("min", point.min);
    object.optional_double("max", point.max);
    object.double("zeroThreshold", point.zero_threshold);
    object.close();
}

fn buckets(out: &mut Vec<u8>, buckets: &Buckets) {
    let mut object = Object::open(out);
    object.int32("offset", buckets.offset);
    object.list("bucketCounts", &buckets.bucket_counts, |out, count| {
        quoted_integer(out, *count)
    });
    object.close();
}

fn summary_data_point(out: &mut Vec<u8>, point: &SummaryDataPoint) {
    let mut object = Object::open(out);
    object.list("attributes", &point.attributes, key_value);
    object.uint64("startTimeUnixNano", point.start_time_unix_nano);
    object.uint64("timeUnixNano", point.time_unix_nano);
    object.uint64("count", point.count);
    object.double("sum", point.sum);
    object.list("quantileValues", &point.quantile_values, quantile);
    object.int32("flags", point.flags);
    object.close();
}

fn quantile(out: &mut Vec<u8>, quantile: &ValueAtQuantile) {
    let mut object = Object::open(out);
    object.double("quantile", quantile.quantile);
    object.double("value", quantile.value);
    object.close();
}

fn exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let mut object = Object::open(out);
    object.list(
        "filteredAttributes",
        &exemplar.filtered_attributes,
        key_value,
    );
    object.uint64("timeUnixNano", exemplar.time_unix_nano);
    match exemplar.value {
        None => {}
        Some(exemplar::Value::AsDouble(value)) => double(object.field("asDouble"), value),
        Some(exemplar::Value::AsInt(value)) => quoted_integer(object.field("asInt"), value),
    }
    object.id("traceId", &exemplar.trace_id);
    object.id("spanId", &exemplar.span_id);
    object.close();
}
