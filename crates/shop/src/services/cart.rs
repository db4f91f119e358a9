//! Shopping carts, one row of JSON each.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::INNER_TIMEOUT;
use crate::answer::Answer;
use crate::error::ShopError;
use crate::fault::board::FaultBoard;
use crate::kit::Kit;
use crate::record::Effect;
use crate::store::{Database, Session, Statement};
use crate::telemetry::client::Client;
use crate::telemetry::server::Cx;
use loadgen_shop_api::{Service, ShopFault};

const GET: Statement = Statement {
    operation: "SELECT",
    collection: "cart",
    text: "SELECT body FROM cart WHERE id = ?1",
};
const PUT: Statement = Statement {
    operation: "INSERT",
    collection: "cart",
    text: "INSERT INTO cart (id, body) VALUES (?1, ?2) \
           ON CONFLICT (id) DO UPDATE SET body = excluded.body",
};
const DELETE: Statement = Statement {
    operation: "DELETE",
    collection: "cart",
    text: "DELETE FROM cart WHERE id = ?1",
};

/// Puts totals right that a fault made wrong.
const MEND: &str = "UPDATE cart SET body = json_set(body, '$.total', \
    (SELECT round(total(value ->> 'subtotal'), 2) FROM json_each(body, '$.items')))";
/// By how much a wrong total is too large: in cents, where it should be in whole units.
const CENTS: f64 = 100.0;

/// A cart as it is stored and answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Cart {
    total: f64,
    tax: f64,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    qty: u32,
    sku: String,
    name: String,
    price: f64,
    subtotal: f64,
}

/// The item that stands for the cost of shipping.
const SHIP: &str = "SHIP";

impl Cart {
    /// Adds to what is there.
    fn add(&mut self, sku: &str, name: &str, price: f64, qty: NonZeroU32) {
        match self.items.iter_mut().find(|item| item.sku == sku) {
            Some(item) => item.qty = item.qty.saturating_add(qty.get()),
            None => self.items.push(Item {
                qty: qty.get(),
                sku: sku.to_owned(),
                name: name.to_owned(),
                price,
                subtotal: 0.0,
            }),
        }
        self.sum_up();
    }

    /// Sets a quantity; 0 takes the item out. False when it is not there.
    fn update(&mut self, sku: &str, qty: u32) -> bool {
        let Some(position) = self.items.iter().position(|item| item.sku == sku) else {
            return false;
        };
        if qty == 0 {
            self.items.remove(position);
        } else {
            self.items[position].qty = qty;
        }
        self.sum_up();
        true
    }

    /// Sets the cost of shipping, in place of an earlier one.
    fn ship(&mut self, location: &str, cost: f64) {
        self.items.retain(|item| item.sku != SHIP);
        self.items.push(Item {
            qty: 1,
            sku: SHIP.to_owned(),
            name: format!("shipping to {location}"),
            price: cost,
            subtotal: cost,
        });
        self.sum_up();
    }

    fn adds_up(&self) -> bool {
        let sum: f64 = self.items.iter().map(|item| item.subtotal).sum();
        // To half a cent, and what sums of large numbers lose.
        (self.total - sum).abs() <= 0.005 + sum * 1e-12
    }

    fn sum_up(&mut self) {
        for item in &mut self.items {
            item.subtotal = cents(item.price * f64::from(item.qty));
        }
        self.total = cents(self.items.iter().map(|item| item.subtotal).sum());
        // The price has 20 % tax in it.
        self.tax = cents(self.total - self.total / 1.2);
    }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

/// What became of a change to a cart.
enum Change {
    Done(Cart),
    NoCart,
    NoItem,
}

impl Change {
    fn answer(self) -> Result<Json<Cart>, Answer> {
        match self {
            Change::Done(cart) => Ok(Json(cart)),
            Change::NoCart => Err(Answer::not_found("cart not found")),
            Change::NoItem => Err(Answer::not_found("not in cart")),
        }
    }
}

#[derive(Clone)]
struct Carts {
    database: Database,
    catalogue: Client,
    faults: Arc<FaultBoard>,
}

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let carts = Carts {
        database: kit.database(schema).await?,
        catalogue: kit.client(Service::Catalogue, INNER_TIMEOUT)?,
        faults: Arc::clone(&kit.faults),
    };
    kit.faults.mend_with(MEND);
    Ok(Router::new()
        .route("/cart/{id}", get(read).delete(remove))
        .route("/add/{id}/{sku}/{qty}", get(add))
        .route("/update/{id}/{sku}/{qty}", get(update))
        .route("/rename/{from}/{to}", get(rename))
        .route("/shipping/{id}", post(ship))
        .with_state(carts))
}

async fn read(
    State(carts): State<Carts>,
    cx: Cx,
    Path(id): Path<String>,
) -> Result<Json<Cart>, Answer> {
    let cart = carts.database.run(&cx.0, move |s| load(s, &id)).await?;
    cart.map_or(Change::NoCart, Change::Done).answer()
}

async fn remove(
    State(carts): State<Carts>,
    cx: Cx,
    Path(id): Path<String>,
) -> Result<&'static str, Answer> {
    match carts
        .database
        .run(&cx.0, move |s| s.execute(&DELETE, [id]))
        .await?
    {
        0 => Err(Answer::not_found("cart not found")),
        _ => Ok("OK"),
    }
}

async fn add(
    State(carts): State<Carts>,
    cx: Cx,
    Path((id, sku, qty)): Path<(String, String, String)>,
) -> Result<Json<Cart>, Answer> {
    let qty: i64 = qty
        .parse()
        .map_err(|_| Answer::bad("quantity must be a number"))?;
    let qty = u32::try_from(qty)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or(Answer::bad("quantity has to be greater than zero"))?;
    let reply = carts
        .catalogue
        .get(&cx.0, "/product/{sku}", &[&sku])
        .await?;
    let Some(product) = reply.found()? else {
        return Err(Answer::not_found("product not found"));
    };
    let number = |field: &str| product.get(field).and_then(Value::as_f64);
    if number("instock").unwrap_or(0.0) <= 0.0 {
        return Err(Answer::not_found("out of stock"));
    }
    let (Some(price), Some(name)) = (number("price"), product.get("name").and_then(Value::as_str))
    else {
        return Err(Answer::failed(
            "catalogue: the product has no name or price",
        ));
    };
    let name = name.to_owned();
    let faults = carts.faults;
    let changed = carts
        .database
        .run(&cx.0, move |s| {
            s.atomically(|s| {
                let mut cart = load(s, &id)?.unwrap_or_default();
                cart.add(&sku, &name, price, qty);
                save(s, &faults, &id, cart)
            })
        })
        .await?;
    Ok(Json(changed))
}

async fn update(
    State(carts): State<Carts>,
    cx: Cx,
    Path((id, sku, qty)): Path<(String, String, String)>,
) -> Result<Json<Cart>, Answer> {
    let qty: i64 = qty
        .parse()
        .map_err(|_| Answer::bad("quantity must be a number"))?;
    let qty = u32::try_from(qty).map_err(|_| Answer::bad("negative quantity not allowed"))?;
    let faults = carts.faults;
    let changed = carts
        .database
        .run(&cx.0, move |s| {
            s.atomically(|s| {
                let Some(mut cart) = load(s, &id)? else {
                    return Ok(Change::NoCart);
                };
                if !cart.update(&sku, qty) {
                    return Ok(Change::NoItem);
                }
                save(s, &faults, &id, cart).map(Change::Done)
            })
        })
        .await?;
    changed.answer()
}

async fn rename(
    State(carts): State<Carts>,
    cx: Cx,
    Path((from, to)): Path<(String, String)>,
) -> Result<Json<Cart>, Answer> {
    let faults = carts.faults;
    let renamed = carts
        .database
        .run(&cx.0, move |s| {
            s.atomically(|s| match load(s, &from)? {
                // The old one stays, as in the original.
                Some(cart) => save(s, &faults, &to, cart).map(Change::Done),
                None => Ok(Change::NoCart),
            })
        })
        .await?;
    renamed.answer()
}

async fn ship(
    State(carts): State<Carts>,
    cx: Cx,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Cart>, Answer> {
    let distance = body.get("distance").and_then(Value::as_f64);
    let cost = body.get("cost").and_then(Value::as_f64);
    let location = body.get("location").and_then(Value::as_str);
    let (Some(_), Some(cost), Some(location)) = (distance, cost, location) else {
        return Err(Answer::bad("shipping data missing"));
    };
    let location = location.to_owned();
    let faults = carts.faults;
    let changed = carts
        .database
        .run(&cx.0, move |s| {
            s.atomically(|s| {
                let Some(mut cart) = load(s, &id)? else {
                    return Ok(Change::NoCart);
                };
                cart.ship(&location, cost);
                save(s, &faults, &id, cart).map(Change::Done)
            })
        })
        .await?;
    changed.answer()
}

/// One that does not add up is an error: nobody should pay for it.
fn load(session: &Session<'_>, id: &str) -> rusqlite::Result<Option<Cart>> {
    let wrong = |reason: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::ToSqlConversionFailure(reason)
    };
    let body: Option<String> = session.row(&GET, [id], |row| row.get(0))?;
    let Some(body) = body else {
        return Ok(None);
    };
    let cart: Cart = serde_json::from_str(&body).map_err(|e| wrong(e.into()))?;
    match cart.adds_up() {
        true => Ok(Some(cart)),
        false => {
            let (record, context) = (session.record(), session.context());
            record.touch(ShopFault::DataCorruption, Effect::Failed, context, None);
            Err(wrong("the cart's total is not the sum of its items".into()))
        }
    }
}

fn save(
    session: &Session<'_>,
    faults: &FaultBoard,
    id: &str,
    mut cart: Cart,
) -> rusqlite::Result<Cart> {
    let meets = faults.meets(ShopFault::DataCorruption, session.context());
    if meets && faults.corruption.strikes() {
        let (record, context) = (session.record(), session.context());
        record.touch(ShopFault::DataCorruption, Effect::Corrupted, context, None);
        cart.total = cents(cart.total * CENTS);
    }
    let body = serde_json::to_string(&cart)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    session.execute(&PUT, [id, &body])?;
    Ok(cart)
}

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("CREATE TABLE cart (id TEXT PRIMARY KEY, body TEXT NOT NULL)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    #[test]
    fn adding_twice_is_one_item() {
        let mut cart = Cart::default();
        cart.add("UHJ", "Juggernaut", 5_000.0, one());
        cart.add("UHJ", "Juggernaut", 5_000.0, one());
        assert_eq!(cart.items.len(), 1);
        assert_eq!((cart.items[0].qty, cart.total), (2, 10_000.0));
    }

    #[test]
    fn shipping_takes_the_place_of_shipping() {
        let mut cart = Cart::default();
        cart.add("RED", "Droid", 700.0, one());
        cart.ship("Here", 10.0);
        cart.ship("There", 12.5);
        assert_eq!(cart.items.len(), 2);
        assert_eq!(cart.total, 712.5);
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum(changes in prop::collection::vec((0_u8..4, 0_u32..5), 1..30)) {
            let skus = ["A", "B", "C", "D"];
            let mut cart = Cart::default();
            for (sku, qty) in changes {
                let sku = skus[usize::from(sku)];
                match NonZeroU32::new(qty) {
                    Some(qty) => cart.add(sku, sku, 1.25, qty),
                    None => { cart.update(sku, 0); }
                }
                let sum: f64 = cart.items.iter().map(|i| i.price * f64::from(i.qty)).sum();
                prop_assert!((cart.total - sum).abs() < 0.005);
                prop_assert!(cart.adds_up());
                prop_assert!(cart.items.iter().all(|i| i.qty > 0));
            }
        }
    }
}
