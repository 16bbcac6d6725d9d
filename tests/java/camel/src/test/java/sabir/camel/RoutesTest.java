// SPDX-License-Identifier: Apache-2.0
package sabir.camel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.camel.CamelContext;
import org.apache.camel.ConsumerTemplate;
import org.apache.camel.Exchange;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.activemq6.ActiveMQComponent;
import org.apache.camel.impl.DefaultCamelContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import sabir.harness.Broker;

/** Routes that read from the broker and write to it, as Camel's ActiveMQ component does by itself. */
class RoutesTest {
    private static final long PATIENCE_MS = 30_000;
    private static final long ABSENCE_MS = 200;
    private static final String OWN = "camel." + Long.toString(System.currentTimeMillis(), 36);
    private static final AtomicInteger ATTEMPTS = new AtomicInteger();

    private static CamelContext context;
    private static ProducerTemplate producer;
    private static ConsumerTemplate consumer;

    @BeforeAll
    static void start() throws Exception {
        context = new DefaultCamelContext();
        ActiveMQComponent component = new ActiveMQComponent();
        component.setBrokerURL(Broker.shared().uri()
                + "?jms.redeliveryPolicy.initialRedeliveryDelay=1&jms.redeliveryPolicy.maximumRedeliveries=3");
        context.addComponent("broker", component);
        context.addRoutes(new RouteBuilder() {
            @Override
            public void configure() {
                from(queue("in")).transform(body().append(" by way of Camel")).to(queue("out"));
                from(queue("requests")).transform(body().prepend("re: "));
                from(queue("split") + "?concurrentConsumers=3").split(body().tokenize(",")).to(queue("parts"));
                from(queue("choice")).choice()
                        .when(header("region").isEqualTo("EU")).to(queue("eu"))
                        .otherwise().to(queue("elsewhere"));
                from(queue("transacted") + "?transacted=true&cacheLevelName=CACHE_CONSUMER").process(exchange -> {
                    if (ATTEMPTS.incrementAndGet() < 3) {
                        throw new IllegalStateException("the route fails, as the test wants it");
                    }
                }).to(queue("done"));
                from("broker:topic:" + OWN + ".topic").routeId("subscriber").to(queue("published"));
                from(queue("chosen") + "?selector=colour%3D'red'").to(queue("red"));
            }
        });
        context.start();
        producer = context.createProducerTemplate();
        consumer = context.createConsumerTemplate();
    }

    @AfterAll
    static void stop() {
        context.stop();
    }

    private static String queue(String name) {
        return "broker:queue:" + OWN + "." + name;
    }

    private static String receive(String name) {
        String text = consumer.receiveBody(queue(name), PATIENCE_MS, String.class);
        assertNotNull(text, "a message was to come to " + name);
        return text;
    }

    @Test
    void aRouteSendsOnWhatItReceives() {
        for (int number = 0; number < 20; number++) {
            producer.sendBody(queue("in"), "message " + number);
            assertEquals("message " + number + " by way of Camel", receive("out"));
        }
    }

    @Test
    void aRouteAnswersRequestsOverATemporaryQueue() {
        for (int number = 0; number < 20; number++) {
            assertEquals("re: request " + number,
                    producer.requestBody(queue("requests"), "request " + number, String.class));
        }
    }

    @Test
    void aRequestMayNameAFixedQueueForItsReply() {
        String endpoint = queue("requests") + "?replyTo=" + OWN + ".replies&replyToType=Exclusive";
        assertEquals("re: fixed", producer.requestBody(endpoint, "fixed", String.class));
        String shared = queue("requests") + "?replyTo=" + OWN + ".shared&replyToType=Shared&receiveTimeout=250";
        // Replies of a shared queue are found by a selector on their correlation id.
        assertEquals("re: shared", producer.requestBody(shared, "shared", String.class));
    }

    @Test
    void oneMessageBecomesMany() {
        producer.sendBody(queue("split"), "a,b,c");
        assertEquals(List.of("a", "b", "c"), List.of(receive("parts"), receive("parts"), receive("parts")));
    }

    @Test
    void headersDecideAndTravel() {
        producer.sendBodyAndHeaders(queue("choice"), "for the EU", Map.of("region", "EU", "number", 7));
        producer.sendBodyAndHeader(queue("choice"), "for the US", "region", "US");
        Exchange european = consumer.receive(queue("eu"), PATIENCE_MS);
        assertEquals("for the EU", european.getMessage().getBody(String.class));
        assertEquals(7, european.getMessage().getHeader("number"));
        assertEquals("for the US", receive("elsewhere"));
    }

    @Test
    void aRouteThatFailsGetsTheMessageAgain() {
        producer.sendBody(queue("transacted"), "stubborn");
        assertEquals("stubborn", receive("done"));
        assertEquals(3, ATTEMPTS.get());
        assertNull(consumer.receiveBody(queue("done"), ABSENCE_MS));
    }

    @Test
    void aRouteSubscribesToATopic() {
        // The route subscribes in the background: what is published before that, nobody gets.
        String received = null;
        for (int attempt = 0; attempt < 100 && received == null; attempt++) {
            producer.sendBody("broker:topic:" + OWN + ".topic", "published");
            received = consumer.receiveBody(queue("published"), ABSENCE_MS, String.class);
        }
        assertEquals("published", received);
    }

    @Test
    void aRouteSelects() {
        producer.sendBodyAndHeader(queue("chosen"), "blue one", "colour", "blue");
        producer.sendBodyAndHeader(queue("chosen"), "red one", "colour", "red");
        assertEquals("red one", receive("red"));
        assertEquals("blue one", receive("chosen"));
    }

    @Test
    void bytesAndMapsKeepTheirKind() {
        producer.sendBody(queue("kinds"), new byte[] {0, 1, -1});
        producer.sendBody(queue("kinds"), Map.of("key", 5L));
        byte[] bytes = (byte[]) consumer.receiveBody(queue("kinds"), PATIENCE_MS);
        assertEquals(3, bytes.length);
        assertEquals(Map.of("key", 5L), consumer.receiveBody(queue("kinds"), PATIENCE_MS));
    }
}
