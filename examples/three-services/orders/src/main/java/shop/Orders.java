package shop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import io.javalin.Javalin;
import io.javalin.http.BadRequestResponse;
import io.javalin.http.Context;
import io.javalin.http.HttpResponseException;
import io.javalin.http.UnauthorizedResponse;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sessions and orders, in PostgreSQL. What is ordered is reserved in the catalogue first. */
public final class Orders {
  /** Limit of a call to the catalogue; shorter than the edge's. */
  private static final Duration CATALOGUE_LIMIT = Duration.ofSeconds(4);

  private static final Logger LOG = LoggerFactory.getLogger(Orders.class);

  private final ObjectMapper json = new ObjectMapper();
  private final HttpClient http =
      HttpClient.newBuilder()
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(CATALOGUE_LIMIT)
          .build();
  private final String catalogue;
  private final HikariDataSource pool;

  private Orders(String catalogue, String databaseUrl) {
    this.catalogue = catalogue;
    HikariConfig config = new HikariConfig();
    config.setPoolName("orders");
    config.setJdbcUrl(databaseUrl);
    config.setMaximumPoolSize(4);
    config.setConnectionTimeout(3000);
    config.setValidationTimeout(1000);
    this.pool = new HikariDataSource(config);
  }

  public static void main(String[] args) {
    Orders orders = new Orders(System.getenv("CATALOGUE_URL"), System.getenv("DATABASE_URL"));
    Javalin.create(config -> config.showJavalinBanner = false)
        .get("/health", context -> context.json(Map.of("status", "up")))
        .post("/sessions", orders::login)
        .post("/orders", orders::place)
        .get("/orders", orders::list)
        .exception(SQLException.class, Orders::noDatabase)
        .exception(HttpResponseException.class, (e, c) -> refuse(e.getStatus(), e.getMessage(), c))
        .start("127.0.0.1", Integer.parseInt(System.getenv("PORT")));
  }

  private void login(Context context) throws SQLException, IOException {
    String customer = json.readTree(context.body()).path("customer").asText();
    if (customer.isEmpty()) {
      throw new BadRequestResponse("who is it?");
    }
    UUID session = UUID.randomUUID();
    try (var connection = pool.getConnection();
        var insert =
            connection.prepareStatement("INSERT INTO sessions (id, customer) VALUES (?, ?)")) {
      insert.setObject(1, session);
      insert.setString(2, customer);
      insert.executeUpdate();
    }
    LOG.info("{} logged in", customer);
    context.status(201).json(Map.of("session", session.toString(), "customer", customer));
  }

  private void place(Context context) throws SQLException, IOException, InterruptedException {
    JsonNode order = json.readTree(context.body());
    String customer = customer(context);
    String sku = order.path("sku").asText();
    int quantity = order.path("quantity").asInt();
    int price = reserve(sku, quantity) * quantity;
    try (var connection = pool.getConnection();
        var insert =
            connection.prepareStatement(
                "INSERT INTO orders (customer, sku, quantity, price_cents) VALUES (?, ?, ?, ?)")) {
      insert.setString(1, customer);
      insert.setString(2, sku);
      insert.setInt(3, quantity);
      insert.setInt(4, price);
      insert.executeUpdate();
    }
    LOG.info("{} of {} for {}", quantity, sku, customer);
    context.status(201).json(order(sku, quantity, price));
  }

  private void list(Context context) throws SQLException {
    List<Map<String, Object>> orders = new ArrayList<>();
    String customer = customer(context);
    try (var connection = pool.getConnection();
        var select =
            connection.prepareStatement(
                "SELECT sku, quantity, price_cents FROM orders"
                    + " WHERE customer = ? ORDER BY id DESC LIMIT 10")) {
      select.setString(1, customer);
      var rows = select.executeQuery();
      while (rows.next()) {
        orders.add(order(rows.getString(1), rows.getInt(2), rows.getInt(3)));
      }
    }
    context.json(orders);
  }

  private static Map<String, Object> order(String sku, int quantity, int price) {
    return Map.of("sku", sku, "quantity", quantity, "price_cents", price);
  }

  /** Whose session it is. */
  private String customer(Context context) throws SQLException {
    String session = context.header("x-session");
    if (session == null) {
      throw new UnauthorizedResponse("log in first");
    }
    try (var connection = pool.getConnection();
        var select = connection.prepareStatement("SELECT customer FROM sessions WHERE id = ?")) {
      select.setObject(1, UUID.fromString(session));
      var rows = select.executeQuery();
      if (!rows.next()) {
        throw new UnauthorizedResponse("no such session");
      }
      return rows.getString(1);
    }
  }

  /** Price of one, in cents. */
  private int reserve(String sku, int quantity) throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(catalogue + "/products/" + sku + "/reservations"))
            .timeout(CATALOGUE_LIMIT)
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString("{\"quantity\":" + quantity + "}"))
            .build();
    try {
      HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        int status = answer.statusCode() == 409 ? 409 : 502;
        throw new HttpResponseException(status, "catalogue: " + answer.body());
      }
      return json.readTree(answer.body()).path("price_cents").asInt();
    } catch (HttpTimeoutException error) {
      throw new HttpResponseException(504, "the catalogue does not answer in time");
    } catch (IOException error) {
      throw new HttpResponseException(502, "the catalogue does not answer: " + error);
    }
  }

  private static void noDatabase(SQLException error, Context context) {
    refuse(503, "the database does not answer: " + error.getMessage(), context);
  }

  private static void refuse(int status, String why, Context context) {
    LOG.error("{} {}: {}", context.method(), context.path(), why);
    context.status(status).json(Map.of("error", why));
  }
}
