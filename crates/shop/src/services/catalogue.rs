//! Products, categories, search, stock.
//!
//! Descriptions hardly change and are cached; stock is asked for each time. It is not used up by
//! orders, as in the original: a run may last for as long as it likes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use crate::answer::Answer;
use crate::cache::{Cache, Lookup};
use crate::error::ShopError;
use crate::kit::Kit;
use crate::store::{Database, Statement};
use crate::telemetry::server::Cx;

/// More than all keys that a shop of this size has, less than a flood.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// How long a description may be out of date.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

const CATEGORIES: Statement = Statement {
    operation: "SELECT",
    collection: "product",
    text: "SELECT DISTINCT c.value FROM product p, json_each(p.categories) c ORDER BY 1 DESC",
};
const PRODUCTS: Statement = Statement {
    operation: "SELECT",
    collection: "product",
    text: "SELECT sku, name, description, price, categories FROM product ORDER BY name",
};
const BY_CATEGORY: Statement = Statement {
    operation: "SELECT",
    collection: "product",
    text: "SELECT sku, name, description, price, categories FROM product \
           WHERE ?1 IN (SELECT value FROM json_each(categories)) ORDER BY name",
};
const BY_SKU: Statement = Statement {
    operation: "SELECT",
    collection: "product",
    text: "SELECT sku, name, description, price, categories FROM product WHERE sku = ?1",
};
const BY_TEXT: Statement = Statement {
    operation: "SELECT",
    collection: "product",
    text: "SELECT sku, name, description, price, categories FROM product \
           WHERE name LIKE ?1 ESCAPE '!' OR description LIKE ?1 ESCAPE '!' ORDER BY name",
};
const STOCK: Statement = Statement {
    operation: "SELECT",
    collection: "stock",
    text: "SELECT sku, instock FROM stock",
};
const STOCK_OF: Statement = Statement {
    operation: "SELECT",
    collection: "stock",
    text: "SELECT instock FROM stock WHERE sku = ?1",
};

/// A product as it is answered. What is cached has stock 0.
#[derive(Debug, Clone, Serialize)]
struct Product {
    sku: String,
    name: String,
    description: String,
    price: f64,
    instock: i64,
    categories: Vec<String>,
}

#[derive(Clone)]
struct Catalogue {
    database: Database,
    names: Arc<Cache<Arc<Vec<String>>>>,
    products: Arc<Cache<Arc<Vec<Product>>>>,
}

pub(super) async fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let catalogue = Catalogue {
        database: kit.database(schema).await?,
        names: kit.cache("categories", CAPACITY, TIME_TO_LIVE),
        products: kit.cache("products", CAPACITY, TIME_TO_LIVE),
    };
    Ok(Router::new()
        .route("/categories", get(categories))
        .route("/products", get(all))
        .route("/products/{category}", get(of_category))
        .route("/product/{sku}", get(one))
        .route("/search/{text}", get(search))
        .with_state(catalogue))
}

impl Catalogue {
    /// Descriptions through the cache.
    async fn descriptions(
        &self,
        cx: &Cx,
        key: &str,
        statement: &'static Statement,
        parameter: Option<String>,
    ) -> Result<Arc<Vec<Product>>, Answer> {
        let key = match self.products.lookup(&cx.0, key) {
            Lookup::Hit(products) => return Ok(products),
            Lookup::Miss(key) => key,
        };
        let products = self
            .database
            .run(&cx.0, move |session| match parameter {
                Some(parameter) => session.rows(statement, [parameter], product),
                None => session.rows(statement, [], product),
            })
            .await?;
        let products = Arc::new(products);
        self.products.store(key, Arc::clone(&products));
        Ok(products)
    }

    /// Descriptions with today's stock.
    async fn stocked(&self, cx: &Cx, products: &[Product]) -> Result<Json<Vec<Product>>, Answer> {
        let stock = self
            .database
            .run(&cx.0, |session| {
                session.rows(&STOCK, [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                })
            })
            .await?;
        let in_stock = |sku: &str| stock.iter().find(|(s, _)| s == sku).map_or(0, |(_, n)| *n);
        Ok(Json(
            products
                .iter()
                .cloned()
                .map(|product| Product {
                    instock: in_stock(&product.sku),
                    ..product
                })
                .collect(),
        ))
    }
}

async fn categories(
    State(catalogue): State<Catalogue>,
    cx: Cx,
) -> Result<Json<Arc<Vec<String>>>, Answer> {
    let key = match catalogue.names.lookup(&cx.0, "all") {
        Lookup::Hit(names) => return Ok(Json(names)),
        Lookup::Miss(key) => key,
    };
    let names = catalogue
        .database
        .run(&cx.0, |session| {
            session.rows(&CATEGORIES, [], |row| row.get(0))
        })
        .await?;
    let names = Arc::new(names);
    catalogue.names.store(key, Arc::clone(&names));
    Ok(Json(names))
}

async fn all(State(catalogue): State<Catalogue>, cx: Cx) -> Result<Json<Vec<Product>>, Answer> {
    let products = catalogue.descriptions(&cx, "all", &PRODUCTS, None).await?;
    catalogue.stocked(&cx, &products).await
}

async fn of_category(
    State(catalogue): State<Catalogue>,
    cx: Cx,
    Path(category): Path<String>,
) -> Result<Json<Vec<Product>>, Answer> {
    let key = format!("category:{category}");
    let products = catalogue
        .descriptions(&cx, &key, &BY_CATEGORY, Some(category))
        .await?;
    catalogue.stocked(&cx, &products).await
}

async fn one(
    State(catalogue): State<Catalogue>,
    cx: Cx,
    Path(sku): Path<String>,
) -> Result<Json<Product>, Answer> {
    let key = format!("sku:{sku}");
    let found = catalogue
        .descriptions(&cx, &key, &BY_SKU, Some(sku.clone()))
        .await?;
    let Some(product) = found.first().cloned() else {
        return Err(Answer::not_found("SKU not found"));
    };
    let instock = catalogue
        .database
        .run(&cx.0, move |session| {
            session.row(&STOCK_OF, [sku], |row| row.get(0))
        })
        .await?
        .unwrap_or(0);
    Ok(Json(Product { instock, ..product }))
}

async fn search(
    State(catalogue): State<Catalogue>,
    cx: Cx,
    Path(text): Path<String>,
) -> Result<Json<Vec<Product>>, Answer> {
    let text = text.to_lowercase();
    let key = format!("text:{text}");
    let products = catalogue
        .descriptions(&cx, &key, &BY_TEXT, Some(pattern(&text)))
        .await?;
    catalogue.stocked(&cx, &products).await
}

/// A LIKE pattern that finds the text anywhere; `!` escapes.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn product(row: &Row<'_>) -> rusqlite::Result<Product> {
    let categories: String = row.get(4)?;
    Ok(Product {
        sku: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        price: row.get(3)?,
        instock: 0,
        // Written by the schema below.
        categories: serde_json::from_str(&categories).unwrap_or_default(),
    })
}

const ROBOT: &str = "Robot";
const INTELLIGENCE: &str = "Artificial Intelligence";

/// Code, name, description, price, stock, categories.
type Seed = (
    &'static str,
    &'static str,
    &'static str,
    f64,
    i64,
    &'static [&'static str],
);

const SEED: [Seed; 11] = [
    (
        "Watson",
        "Watson",
        "Answers questions before anybody asks them",
        2_001.0,
        10_000,
        &[INTELLIGENCE],
    ),
    (
        "Ewooid",
        "Ewooid",
        "Furry and friendly, sold out since the film",
        200.0,
        0,
        &[ROBOT],
    ),
    (
        "HPTD",
        "High-Powered Travel Droid",
        "Carries luggage over any ground",
        1_200.0,
        10_000,
        &[ROBOT],
    ),
    (
        "UHJ",
        "Ultimate Harvesting Juggernaut",
        "Brings in a field of wheat in an hour",
        5_000.0,
        10_000,
        &[ROBOT],
    ),
    (
        "EPE",
        "Extreme Probe Emulator",
        "Looks around on planets so that you need not",
        953.0,
        10_000,
        &[ROBOT, INTELLIGENCE],
    ),
    (
        "EMM",
        "Exceptional Medical Machine",
        "Knows where it hurts",
        1_024.0,
        10_000,
        &[ROBOT, INTELLIGENCE],
    ),
    (
        "SHCE",
        "Strategic Human Control Emulator",
        "Takes decisions in meetings",
        300.0,
        10_000,
        &[ROBOT, INTELLIGENCE],
    ),
    (
        "RED",
        "Responsive Enforcer Droid",
        "Asks people to leave, kindly at first",
        700.0,
        10_000,
        &[ROBOT],
    ),
    (
        "RMC",
        "Robotic Mining Cyborg",
        "Digs day and night",
        142.0,
        10_000,
        &[ROBOT],
    ),
    (
        "STAN-1",
        "Stan",
        "Watches over everything that runs",
        67.0,
        10_000,
        &[ROBOT, INTELLIGENCE],
    ),
    (
        "CNA",
        "Cybernated Neutralisation Android",
        "Out of production",
        1_000.0,
        0,
        &[ROBOT],
    ),
];

fn schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE product (sku TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL,
                               price REAL NOT NULL, categories TEXT NOT NULL);
         CREATE TABLE stock (sku TEXT PRIMARY KEY, instock INTEGER NOT NULL);",
    )?;
    for (sku, name, description, price, instock, categories) in SEED {
        let categories = serde_json::json!(categories).to_string();
        connection.execute(
            "INSERT INTO product VALUES (?1, ?2, ?3, ?4, ?5)",
            params![sku, name, description, price, categories],
        )?;
        connection.execute("INSERT INTO stock VALUES (?1, ?2)", params![sku, instock])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_signs_as_they_are() {
        assert_eq!(pattern("a_b%c!"), "%a!_b!%c!!%");
    }
}
