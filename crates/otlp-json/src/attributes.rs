//! Attributes and their values, and what carries them in all three signals: resource and scope.

use super::{Object, base64, double, integer, quoted_integer, string};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

pub(super) fn any_value(out: &mut Vec<u8>, value: &AnyValue) {
    let mut object = Object::open(out);
    match &value.value {
        None => {}
        Some(Value::StringValue(text)) => string(object.field("stringValue"), text),
        Some(Value::BoolValue(flag)) => {
            let text: &[u8] = if *flag { b"true" } else { b"false" };
            object.field("boolValue").extend_from_slice(text);
        }
        Some(Value::IntValue(number)) => quoted_integer(object.field("intValue"), *number),
        Some(Value::DoubleValue(number)) => double(object.field("doubleValue"), *number),
        Some(Value::ArrayValue(array)) => {
            let mut inner = Object::open(object.field("arrayValue"));
            inner.list("values", &array.values, any_value);
            inner.close();
        }
        Some(Value::KvlistValue(list)) => {
            let mut inner = Object::open(object.field("kvlistValue"));
            inner.list("values", &list.values, key_value);
            inner.close();
        }
        Some(Value::BytesValue(bytes)) => base64(object.field("bytesValue"), bytes),
        Some(Value::StringValueStrindex(index)) => {
            integer(object.field("stringValueStrindex"), *index);
        }
    }
    object.close();
}

pub(super) fn key_value(out: &mut Vec<u8>, attribute: &KeyValue) {
    let mut object = Object::open(out);
    object.text("key", &attribute.key);
    object.always("value", attribute.value.as_ref(), any_value);
    object.int32("keyStrindex", attribute.key_strindex);
    object.close();
}

pub(super) fn resource(out: &mut Vec<u8>, resource: &Resource) {
    let mut object = Object::open(out);
    object.list("attributes", &resource.attributes, key_value);
    object.int32("droppedAttributesCount", resource.dropped_attributes_count);
    object.list("entityRefs", &resource.entity_refs, entity_ref);
    object.close();
}

fn entity_ref(out: &mut Vec<u8>, entity: &EntityRef) {
    let mut object = Object::open(out);
    object.text("schemaUrl", &entity.schema_url);
    object.text("type", &entity.r#type);
    object.list("idKeys", &entity.id_keys, |out, key| string(out, key));
    object.list("descriptionKeys", &entity.description_keys, |out, key| {
        string(out, key)
    });
    object.close();
}

pub(super) fn scope(out: &mut Vec<u8>, scope: &InstrumentationScope) {
    let mut object = Object::open(out);
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    object.list("attributes", &scope.attributes, key_value);
    object.int32("droppedAttributesCount", scope.dropped_attributes_count);
    object.close();
}
