-- The tables of both services and what is in them. Each start begins with this.
CREATE TABLE products (
  sku text PRIMARY KEY,
  name text NOT NULL,
  price_cents integer NOT NULL,
  stock integer NOT NULL,
  text text NOT NULL
);
INSERT INTO products (sku, name, price_cents, stock, text)
SELECT 'P' || lpad(n::text, 3, '0'),
       kind || ' ' || n,
       499 + 25 * n,
       100000000,
       kind || ' number ' || n || ' of ' || material || ', in ' || colour
FROM generate_series(1, 120) AS n,
LATERAL (SELECT (ARRAY['Cup', 'Lamp', 'Chair', 'Shelf', 'Clock'])[1 + n % 5] AS kind,
                (ARRAY['oak', 'steel', 'glass', 'clay'])[1 + n % 4] AS material,
                (ARRAY['red', 'green', 'blue'])[1 + n % 3] AS colour) AS words;

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  customer text NOT NULL,
  begun timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer text NOT NULL,
  sku text NOT NULL,
  quantity integer NOT NULL,
  price_cents integer NOT NULL,
  placed timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_of_customer ON orders (customer, id DESC);
