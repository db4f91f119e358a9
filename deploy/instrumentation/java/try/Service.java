import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.util.logging.Logger;

/** A service of ten lines: it logs, and asks the next one if there is one. */
public class Service {
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newHttpClient();
        var port = Integer.parseInt(System.getenv("PORT"));
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", exchange -> {
            Logger.getLogger("service").info("asked");
            var next = System.getenv("NEXT") == null ? "null" : ask(client, System.getenv("NEXT"));
            var answer = ("{\"service\": \"java\", \"next\": " + next + "}").getBytes();
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    static String ask(HttpClient client, String url) {
        var request = HttpRequest.newBuilder(URI.create(url)).build();
        return client.sendAsync(request, HttpResponse.BodyHandlers.ofString()).join().body();
    }
}
