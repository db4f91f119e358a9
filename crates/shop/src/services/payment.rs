//! Turns a cart into an order: asks who the customer is, charges the outside gateway, queues the
//! order for dispatch, writes it into the customer's history and removes the cart.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Method;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::INNER_TIMEOUT;
use crate::answer::Answer;
use crate::error::ShopError;
use crate::kit::Kit;
use crate::queue::Publisher;
use crate::telemetry::Telemetry;
use crate::telemetry::client::Client;
use crate::telemetry::server::Cx;
use loadgen_shop_api::Service;

/// How long payment waits for the gateway: less than the edge waits for payment.
const GATEWAY_TIMEOUT: Duration = Duration::from_millis(2_500);

#[derive(Clone)]
struct Payment {
    telemetry: Arc<Telemetry>,
    user: Client,
    cart: Client,
    gateway: Client,
    orders: Arc<Publisher>,
}

pub(super) fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let payment = Payment {
        telemetry: Arc::clone(&kit.telemetry),
        user: kit.client(Service::User, INNER_TIMEOUT)?,
        cart: kit.client(Service::Cart, INNER_TIMEOUT)?,
        gateway: kit.client(Service::Gateway, GATEWAY_TIMEOUT)?,
        orders: Arc::new(kit.publisher(INNER_TIMEOUT)?),
    };
    Ok(Router::new()
        .route("/pay/{id}", post(pay))
        .with_state(payment))
}

async fn pay(
    State(payment): State<Payment>,
    cx: Cx,
    Path(id): Path<String>,
    Json(cart): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let known = payment
        .user
        .get(&cx.0, "/check/{id}", &[&id])
        .await?
        .exists()?;
    // 500 and not 400, as in the original, which does not look before it counts.
    let Some(items) = cart.get("items").and_then(Value::as_array) else {
        return Err(Answer::failed("payment: the cart has no items"));
    };
    let shipped = items
        .iter()
        .any(|item| item.get("sku").and_then(Value::as_str) == Some("SHIP"));
    let total = cart.get("total").and_then(Value::as_f64).unwrap_or(0.0);
    if !shipped || total == 0.0 {
        return Err(Answer::bad("cart not valid"));
    }

    let charge = json!({ "customer": id, "amount": total });
    let charged = payment
        .gateway
        .call(&cx.0, Method::POST, "/charge", &[], Some(&charge))
        .await?;
    if !charged.status.is_success() {
        return Err(Answer::failed("payment: the gateway refused"));
    }

    let order = uuid::Uuid::new_v4().to_string();
    payment
        .orders
        .publish(&cx.0, json!({ "orderid": order, "user": id, "cart": cart }))
        .await
        .map_err(Answer::failed)?;
    if known {
        let body = json!({ "orderid": order, "cart": cart });
        payment
            .user
            .call(&cx.0, Method::POST, "/order/{id}", &[&id], Some(&body))
            .await?
            .exists()?;
    }
    // A cart that was never stored is as good as removed.
    payment
        .cart
        .call(&cx.0, Method::DELETE, "/cart/{id}", &[&id], None)
        .await?
        .exists()?;
    payment.telemetry.event(
        &cx.0,
        "order placed",
        vec![
            ("order.id", order.clone().into()),
            ("order.total", total.into()),
        ],
    );
    Ok(Json(json!({ "orderid": order })))
}
