//! Data points of every kind, and doubles of all magnitudes.

use super::values::{attribute, every_value, resource, scope, span_id, text, trace_id};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};

/// Doubles of all magnitudes, by a linear congruential generator over their bits.
fn doubles() -> Vec<f64> {
    let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
    let random = (0..600).map(|_| {
        bits = bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(bits)
    });
    let edges = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.2,
        0.3,
        1.0 / 3.0,
        100.0,
        1e6,
        1e15,
        123_456_789.125,
        1e-5,
        1e-6,
        9.999_999_999e-7,
        1e-7,
        1e20,
        9.99e20,
        1e21,
        1e22,
        1e99,
        1e100,
        1e-99,
        1e-100,
        5e-324,
        2.225_073_858_507_201e-308,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        9_007_199_254_740_993.0,
        0.005,
        0.01,
        0.025,
        2.5,
        7.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    edges
        .into_iter()
        .chain(random.collect::<Vec<_>>())
        .collect()
}

fn exemplars() -> Vec<Exemplar> {
    vec![
        Exemplar {
            filtered_attributes: every_value(),
            time_unix_nano: 11,
            span_id: span_id(1),
            trace_id: trace_id(1),
            value: Some(exemplar::Value::AsDouble(0.0)),
        },
        Exemplar {
            value: Some(exemplar::Value::AsInt(-5)),
            ..Exemplar::default()
        },
        Exemplar::default(),
    ]
}

fn number(value: Option<number_data_point::Value>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("k", text("v"))],
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        exemplars: exemplars(),
        flags: 1,
        value,
    }
}

pub(super) fn every_metric() -> ExportMetricsServiceRequest {
    use number_data_point::Value::{AsDouble, AsInt};
    let numbers = vec![
        number(Some(AsDouble(1.5))),
        number(Some(AsInt(i64::MIN))),
        number(None),
        NumberDataPoint {
            value: Some(AsInt(0)),
            ..NumberDataPoint::default()
        },
        NumberDataPoint {
            value: Some(AsDouble(f64::NAN)),
            ..NumberDataPoint::default()
        },
        NumberDataPoint::default(),
    ];
    let histogram = HistogramDataPoint {
        attributes: every_value(),
        start_time_unix_nano: 3,
        time_unix_nano: 4,
        count: u64::MAX,
        sum: Some(0.0),
        bucket_counts: vec![0, 1, u64::MAX],
        explicit_bounds: doubles(),
        exemplars: exemplars(),
        flags: 1,
        min: Some(-0.0),
        max: Some(1e300),
    };
    let exponential = ExponentialHistogramDataPoint {
        attributes: vec![attribute("k", text("v"))],
        start_time_unix_nano: 5,
        time_unix_nano: 6,
        count: 7,
        sum: Some(8.5),
        scale: -3,
        zero_count: 9,
        positive: Some(Buckets {
            offset: -2,
            bucket_counts: vec![1, 0, 3],
        }),
        negative: None,
        flags: 1,
        exemplars: exemplars(),
        min: Some(0.0),
        max: None,
        zero_threshold: 1e-9,
    };
    let summary = SummaryDataPoint {
        attributes: vec![attribute("k", text("v"))],
        start_time_unix_nano: 10,
        time_unix_nano: 11,
        count: 12,
        sum: 13.25,
        quantile_values: vec![
            ValueAtQuantile {
                quantile: 0.0,
                value: 1.0,
            },
            ValueAtQuantile {
                quantile: 0.99,
                value: f64::NAN,
            },
            ValueAtQuantile {
                quantile: 1.0,
                value: 0.0,
            },
        ],
        flags: 1,
    };
    let datas = vec![
        Some(Data::Gauge(Gauge {
            data_points: numbers.clone(),
        })),
        Some(Data::Gauge(Gauge {
            data_points: vec![],
        })),
        Some(Data::Sum(Sum {
            data_points: numbers,
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        Some(Data::Sum(Sum {
            data_points: vec![],
            aggregation_temporality: 0,
            is_monotonic: false,
        })),
        Some(Data::Histogram(Histogram {
            data_points: vec![histogram, HistogramDataPoint::default()],
            aggregation_temporality: 1,
        })),
        Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential, ExponentialHistogramDataPoint::default()],
            aggregation_temporality: 2,
        })),
        Some(Data::Summary(Summary {
            data_points: vec![summary, SummaryDataPoint::default()],
        })),
        None,
    ];
    let metrics = datas
        .into_iter()
        .zip(0..)
        .map(|(data, n)| Metric {
            name: format!("metric.{n}"),
            description: if n == 0 {
                "what it <is>".to_owned()
            } else {
                String::new()
            },
            unit: "{request}".to_owned(),
            metadata: if n < 2 {
                vec![attribute("k", text("v"))]
            } else {
                vec![]
            },
            data,
        })
        .chain([Metric::default()])
        .collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![
            ResourceMetrics {
                resource: resource("cart"),
                scope_metrics: vec![
                    ScopeMetrics {
                        scope: scope(),
                        metrics,
                        schema_url: "https://example.com/s".to_owned(),
                    },
                    ScopeMetrics::default(),
                ],
                schema_url: "https://example.com/r".to_owned(),
            },
            ResourceMetrics::default(),
        ],
    }
}
