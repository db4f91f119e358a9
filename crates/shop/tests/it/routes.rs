//! Every route answers with the status and shape that Robot Shop has.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;

fn fields(value: &Value) -> Vec<&str> {
    let mut fields: Vec<_> = value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    fields
}

#[tokio::test]
async fn pages() {
    let shop = Shop::start(None).await;
    for path in ["/", "/products", "/api", "/api/nothing/here", "/search?q=x"] {
        let answer = shop.get(path).await;
        assert_eq!(
            (answer.status, answer.kind.as_str()),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
    }
    assert_eq!(shop.send(Method::POST, "/products", None).await.status, 405);
}

#[tokio::test]
async fn catalogue() {
    let shop = Shop::start(None).await;
    let categories = shop.get("/api/catalogue/categories").await.json();
    assert_eq!(categories, json!(["Robot", "Artificial Intelligence"]));
    let products = shop.get("/api/catalogue/products").await.json();
    let products = products.as_array().expect("an array");
    assert_eq!(products.len(), 11);
    for product in products {
        let expected = [
            "categories",
            "description",
            "instock",
            "name",
            "price",
            "sku",
        ];
        assert_eq!(fields(product), expected);
        let sold_out = ["Ewooid", "CNA"].contains(&product["sku"].as_str().expect("text"));
        assert_eq!(product["instock"] == 0, sold_out, "{product}");
    }
    let robots = shop.get("/api/catalogue/products/Robot").await.json();
    assert_eq!(robots.as_array().map(Vec::len), Some(10));
    let minds = shop
        .get("/api/catalogue/products/Artificial%20Intelligence")
        .await
        .json();
    assert_eq!(minds.as_array().map(Vec::len), Some(5));
    assert_eq!(
        shop.get("/api/catalogue/products/Nothing").await.json(),
        json!([])
    );
    for sku in [
        "Watson", "HPTD", "UHJ", "EPE", "EMM", "SHCE", "RED", "RMC", "STAN-1",
    ] {
        let product = shop
            .get(&format!("/api/catalogue/product/{sku}"))
            .await
            .json();
        assert_eq!(product["sku"], sku);
        assert!(product["instock"].as_i64() > Some(0));
    }
    let none = shop.get("/api/catalogue/product/NONE").await;
    assert_eq!((none.status, none.text.as_str()), (404, "SKU not found"));
    let found = shop.get("/api/catalogue/search/Droid").await.json();
    assert_eq!(found.as_array().map(Vec::len), Some(3));
    assert_eq!(
        shop.get("/api/catalogue/search/%25").await.json(),
        json!([])
    );
}

#[tokio::test]
async fn user() {
    let shop = Shop::start(None).await;
    let first = shop.get("/api/user/uniqueid").await.json();
    let second = shop.get("/api/user/uniqueid").await.json();
    assert_eq!(
        (first["uuid"].as_str(), second["uuid"].as_str()),
        (Some("anonymous-1"), Some("anonymous-2"))
    );
    let check = shop.get("/api/user/check/stan").await;
    assert_eq!((check.status, check.text.as_str()), (200, "OK"));
    assert_eq!(shop.get("/api/user/check/anonymous-1").await.status, 404);
    assert_eq!(
        shop.get("/api/user/users")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(3)
    );

    let login = async |body: Value| {
        shop.send(Method::POST, "/api/user/login", Some(&body))
            .await
    };
    for (name, password) in [
        ("user", "password"),
        ("stan", "bigbrain"),
        ("partner-57", "worktogether"),
    ] {
        let answer = login(json!({ "name": name, "password": password })).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["name"], name);
    }
    assert_eq!(login(json!({ "name": "user" })).await.status, 400);
    assert_eq!(
        login(json!({ "name": "user", "password": "x" }))
            .await
            .status,
        404
    );
    assert_eq!(
        login(json!({ "name": "x", "password": "x" })).await.status,
        404
    );

    let register = async |body: Value| {
        shop.send(Method::POST, "/api/user/register", Some(&body))
            .await
            .status
    };
    let account = json!({ "name": "new", "password": "p", "email": "e@shop.example" });
    assert_eq!(register(account.clone()).await, 200);
    assert_eq!(register(account).await, 400);
    assert_eq!(
        register(json!({ "name": "newer", "password": "p" })).await,
        400
    );
    assert_eq!(
        login(json!({ "name": "new", "password": "p" }))
            .await
            .status,
        200
    );

    assert_eq!(shop.get("/api/user/history/anonymous-1").await.status, 404);
    let history = shop.get("/api/user/history/user").await.json();
    assert_eq!(history["history"], json!([]));
}

#[tokio::test]
async fn cart() {
    let shop = Shop::start(None).await;
    let cart = shop.get("/api/cart/add/me/UHJ/2").await.json();
    assert_eq!(fields(&cart), ["items", "tax", "total"]);
    assert_eq!(
        fields(&cart["items"][0]),
        ["name", "price", "qty", "sku", "subtotal"]
    );
    assert_eq!(cart["items"][0]["qty"], 2);
    let status = async |path: &str| shop.get(&format!("/api/cart/{path}")).await.status;
    assert_eq!(status("add/me/UHJ/x").await, 400);
    assert_eq!(status("add/me/UHJ/0").await, 400);
    assert_eq!(status("add/me/NONE/1").await, 404);
    assert_eq!(status("add/me/CNA/1").await, 404);
    assert_eq!(status("add/me/Ewooid/1").await, 404);
    assert_eq!(status("update/me/UHJ/x").await, 400);
    assert_eq!(status("update/me/UHJ/-1").await, 400);
    assert_eq!(status("update/me/RED/1").await, 404);
    assert_eq!(status("update/nobody/UHJ/1").await, 404);
    assert_eq!(status("cart/nobody").await, 404);
    assert_eq!(status("rename/nobody/me").await, 404);
    assert_eq!(
        shop.get("/api/cart/update/me/UHJ/3").await.json()["items"][0]["qty"],
        3
    );
    let renamed = shop.get("/api/cart/rename/me/you").await.json();
    assert_eq!(renamed, shop.get("/api/cart/cart/you").await.json());

    let ship = async |id: &str, body: Value| {
        shop.send(
            Method::POST,
            &format!("/api/cart/shipping/{id}"),
            Some(&body),
        )
        .await
    };
    let shipping = json!({ "distance": 100, "cost": 5.0, "location": "Here" });
    let shipped = ship("you", shipping.clone()).await.json();
    assert_eq!(shipped["items"][1]["sku"], "SHIP");
    assert_eq!(ship("nobody", shipping).await.status, 404);
    assert_eq!(ship("you", json!({ "cost": 5.0 })).await.status, 400);

    assert_eq!(
        shop.send(Method::DELETE, "/api/cart/cart/you", None)
            .await
            .status,
        200
    );
    assert_eq!(
        shop.send(Method::DELETE, "/api/cart/cart/you", None)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn shipping() {
    let shop = Shop::start(None).await;
    let codes = shop.get("/api/shipping/codes").await.json();
    let codes = codes.as_array().expect("an array");
    assert_eq!(codes.len(), 20);
    for code in codes {
        assert_eq!(fields(code), ["code", "name", "uuid"]);
        let path = format!(
            "/api/shipping/cities/{}",
            code["code"].as_str().expect("text")
        );
        let cities = shop.get(&path).await.json();
        assert_eq!(cities.as_array().map(Vec::len), Some(60));
        assert_eq!(cities[0]["code"], code["code"]);
    }
    assert_eq!(shop.get("/api/shipping/cities/zz").await.json(), json!([]));
    let matches = shop.get("/api/shipping/match/de/Bir").await.json();
    assert_eq!(matches.as_array().map(Vec::len), Some(5));
    assert_eq!(shop.get("/api/shipping/match/de/Bi").await.status, 400);
    let city = matches[0]["uuid"].as_i64().expect("a number");
    let calc = shop.get(&format!("/api/shipping/calc/{city}")).await.json();
    assert_eq!(fields(&calc), ["cost", "distance"]);
    assert_eq!(shop.get("/api/shipping/calc/999999").await.status, 404);
    assert_eq!(shop.get("/api/shipping/calc/berlin").await.status, 400);
    let confirm = json!({ "distance": 1, "cost": 1.0, "location": "x" });
    let answer = shop
        .send(Method::POST, "/api/shipping/confirm/nobody", Some(&confirm))
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn ratings_and_health() {
    let shop = Shop::start(None).await;
    let before = shop.get("/api/ratings/api/fetch/RED").await.json();
    assert_eq!(before, json!({ "avg_rating": 0.0, "rating_count": 0 }));
    for score in [5, 2] {
        let path = format!("/api/ratings/api/rate/RED/{score}");
        assert_eq!(
            shop.send(Method::PUT, &path, None).await.json(),
            json!({ "success": true })
        );
    }
    let after = shop.get("/api/ratings/api/fetch/RED").await.json();
    assert_eq!(after, json!({ "avg_rating": 3.5, "rating_count": 2 }));
    assert_eq!(shop.get("/api/ratings/api/fetch/NONE").await.status, 404);
    assert_eq!(
        shop.send(Method::PUT, "/api/ratings/api/rate/NONE/3", None)
            .await
            .status,
        404
    );
    for service in [
        "catalogue",
        "user",
        "cart",
        "shipping",
        "ratings",
        "payment",
        "dispatch",
    ] {
        assert_eq!(
            shop.get(&format!("/api/{service}/health")).await.status,
            200,
            "{service}"
        );
    }
    let health = shop.admin(Method::GET, "/health", None).await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("ok"))
    );
}

#[tokio::test]
async fn the_whole_checkout() {
    let shop = Shop::start(None).await;
    let pay = async |id: &str, cart: &Value| {
        shop.send(Method::POST, &format!("/api/payment/pay/{id}"), Some(cart))
            .await
    };
    for customer in ["user", "anonymous-7"] {
        shop.get(&format!("/api/cart/add/{customer}/Watson/1"))
            .await;
        let unshipped = shop.get(&format!("/api/cart/cart/{customer}")).await.json();
        assert_eq!(
            pay(customer, &unshipped).await.status,
            400,
            "no shipping yet"
        );
        let mut shipping = shop.get("/api/shipping/calc/7").await.json();
        shipping["location"] = json!("Austria Birkenford");
        let path = format!("/api/shipping/confirm/{customer}");
        let cart = shop.send(Method::POST, &path, Some(&shipping)).await.json();
        assert_eq!(cart["items"][1]["sku"], "SHIP");
        assert_eq!(cart["items"][1]["price"], shipping["cost"]);
        let paid = pay(customer, &cart).await.json();
        assert_eq!(
            shop.get(&format!("/api/cart/cart/{customer}")).await.status,
            404
        );
        let history = shop.get(&format!("/api/user/history/{customer}")).await;
        if customer == "user" {
            assert_eq!(history.json()["history"][0]["orderid"], paid["orderid"]);
            assert_eq!(history.json()["history"][0]["cart"], cart);
        } else {
            assert_eq!(history.status, 404);
        }
    }
    assert_eq!(
        pay("partner-57", &json!({ "total": 0, "tax": 0 }))
            .await
            .status,
        500
    );
    assert_eq!(
        pay("partner-57", &json!({ "total": 0, "items": [] }))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn admin_says_what_is_allowed() {
    let shop = Shop::start(None).await;
    let put = async |fault: &str, body: Value| {
        shop.admin(Method::PUT, &format!("/faults/{fault}"), Some(&body))
            .await
    };
    let catalogue = |intensity: f64| json!({ "service": "catalogue", "intensity": intensity });
    let cases = [
        (
            "slow_quarry",
            catalogue(0.5),
            404,
            "there is no fault `slow_quarry`",
        ),
        (
            "slow_query",
            json!({ "service": "katalog", "intensity": 0.5 }),
            404,
            "there is no service `katalog`",
        ),
        (
            "slow_query",
            json!({ "service": "web", "intensity": 0.5 }),
            400,
            "slow_query is not possible in web",
        ),
        (
            "slow_query",
            json!({ "intensity": 0.5 }),
            400,
            "`service` is missing",
        ),
        (
            "slow_query",
            catalogue(0.0),
            400,
            "intensity is 0, but must be above 0 and at most 1",
        ),
        (
            "slow_query",
            catalogue(1.5),
            400,
            "intensity is 1.5, but must be above 0 and at most 1",
        ),
        (
            "slow_query",
            json!({ "service": "catalogue", "intensity": 0.5, "lease_ms": 0 }),
            400,
            "lease_ms is 0, but must be from 1 to 86400000",
        ),
        (
            "slow_query",
            json!({ "service": "catalogue", "intensity": 0.5, "lease_ms": 1.5 }),
            400,
            "the body cannot be read: invalid type: floating point `1.5`, expected u64 at line 1 column 53",
        ),
    ];
    for (fault, body, status, error) in cases {
        let answer = put(fault, body).await;
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(error))
        );
        assert!(!answer.json()["allowed"].is_null());
    }
    assert_eq!(put("slow_query", json!([])).await.status, 400);
    assert_eq!(shop.admin(Method::GET, "/nothing", None).await.status, 404);
    assert_eq!(
        shop.admin(Method::GET, "/faults", None).await.json(),
        json!({ "faults": [] })
    );
    shop.inject("hang", "user", 0.25).await;
    let active = json!({ "faults": [{
        "fault": "hang", "service": "user", "intensity": 0.25, "owner": "", "confirmed": true,
    }] });
    assert_eq!(
        shop.admin(Method::GET, "/faults", None).await.json(),
        active
    );
    shop.clear("hang", "user").await;
    shop.clear("hang", "user").await;
    assert_eq!(
        shop.admin(Method::GET, "/faults", None).await.json(),
        json!({ "faults": [] })
    );
}

/// The status of a GET with the path as it is: a URL parser would take out the dots.
fn raw_status(base: &serde_json::Value, path: &str) -> String {
    let address = base.as_str().expect("a URL").trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer.split(' ').nth(1).expect("a status line").to_owned()
}

#[tokio::test]
async fn the_edge_asks_no_other_host() {
    let shop = Shop::start(None).await;
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    other.set_nonblocking(true).expect("a socket");
    let address = other.local_addr().expect("an address");
    for service in ["cart", "payment"] {
        let answer = shop.get(&format!("/api/{service}//{address}/x")).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    let nobody = other.accept().expect_err("no connection");
    assert_eq!(nobody.kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn dots_lead_nowhere() {
    let shop = Shop::start(None).await;
    let edge = &shop.ready["base_url"];
    for path in [
        "/api/cart/cart/me/../../health",
        "/api/cart/%2E%2E/health",
        "/api/user/./uniqueid",
    ] {
        assert_eq!(raw_status(edge, path), "400", "{path}");
    }
    // Past the edge, the value would be put into a path of another service.
    let cart = &shop.ready["services"]["cart"]["url"];
    assert_eq!(raw_status(cart, "/add/me/%2E%2E/1"), "400");
    assert_eq!(raw_status(cart, "/add/me/%2E/1"), "400");
    assert_eq!(raw_status(cart, "/add/me/.../1"), "404");
    let ratings = &shop.ready["services"]["ratings"]["url"];
    assert_eq!(raw_status(ratings, "/api/fetch/%2E%2E"), "400");
}
