// SPDX-License-Identifier: Apache-2.0
package sabir.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.TextMessage;
import org.apache.activemq.command.ActiveMQTopic;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.jms.connection.JmsTransactionManager;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;
import org.springframework.transaction.support.TransactionTemplate;
import sabir.harness.Broker;

/** The application sends and receives; nothing but the broker's address is configured. */
@SpringBootTest(properties = {"spring.main.banner-mode=off", "logging.level.root=off"})
class OrdersApplicationTest {
    private static final long PATIENCE_MS = 30_000;
    private static final long ABSENCE_MS = 200;
    private static final String OWN = "spring." + Long.toString(System.currentTimeMillis(), 36);

    @Autowired
    private JmsTemplate template;
    @Autowired
    private JmsTransactionManager transactions;
    @Autowired
    private OrdersApplication application;
    @Value("${orders.queue}")
    private String queue;

    @DynamicPropertySource
    static void broker(DynamicPropertyRegistry properties) {
        properties.add("spring.activemq.broker-url", () -> Broker.shared().uri()
                + "?jms.redeliveryPolicy.initialRedeliveryDelay=1&jms.redeliveryPolicy.maximumRedeliveries=2");
        properties.add("orders.queue", () -> OWN);
    }

    @BeforeEach
    void waitNotForEver() {
        template.setReceiveTimeout(PATIENCE_MS);
    }

    private static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        T item = queue.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertNotNull(item, "something was to come");
        return item;
    }

    private Object receive(String destination, long timeoutMs) {
        template.setReceiveTimeout(timeoutMs);
        return template.receiveAndConvert(destination);
    }

    @Test
    void whatTheTemplateSendsTheListenerReceives() throws Exception {
        Set<String> expected = new HashSet<>();
        for (int number = 0; number < 50; number++) {
            template.convertAndSend(queue, "order " + number);
            expected.add("order " + number);
        }
        Set<String> received = new HashSet<>();
        for (int number = 0; number < 50; number++) {
            received.add(next(application.orders));
        }
        assertEquals(expected, received);
    }

    @Test
    void theTemplateReceivesWhatItSent() {
        template.convertAndSend(queue + ".plain", "text");
        assertEquals("text", receive(queue + ".plain", PATIENCE_MS));
        assertNull(receive(queue + ".plain", ABSENCE_MS));
    }

    @Test
    void aRequestIsAnsweredOverATemporaryQueue() throws JMSException {
        for (int number = 0; number < 10; number++) {
            String text = "request " + number;
            Message reply = template.sendAndReceive(queue + ".requests", session -> session.createTextMessage(text));
            assertEquals("re: " + text, ((TextMessage) reply).getText());
        }
    }

    @Test
    void aMessageWithoutAReplyAddressIsAnsweredAtTheUsualPlace() {
        template.convertAndSend(queue + ".requests", "no address");
        assertEquals("re: no address", receive(queue + ".replies", PATIENCE_MS));
    }

    @Test
    void aListenerThatFailsGetsTheMessageAgain() throws Exception {
        template.convertAndSend(queue + ".failing", "hard", message -> {
            message.setBooleanProperty("hopeless", false);
            return message;
        });
        assertEquals("hard false", next(application.attempts));
        assertEquals("hard true", next(application.attempts));
        assertNull(application.attempts.poll(ABSENCE_MS, TimeUnit.MILLISECONDS));

        template.convertAndSend(queue + ".failing", "poison", message -> {
            message.setBooleanProperty("hopeless", true);
            message.setStringProperty("test", queue);
            return message;
        });
        assertEquals("poison false", next(application.attempts));
        assertEquals("poison true", next(application.attempts));
        assertEquals("poison true", next(application.attempts));
        Object dead = template.receiveSelectedAndConvert("ActiveMQ.DLQ", "test = '" + queue + "'");
        assertEquals("poison", dead);
    }

    @Test
    void aTransactionIsSeenWhenItIsCommittedAndNotWhenItIsRolledBack() {
        TransactionTemplate transaction = new TransactionTemplate(transactions);
        transaction.executeWithoutResult(status -> {
            template.convertAndSend(queue + ".transacted", "never");
            status.setRollbackOnly();
        });
        transaction.executeWithoutResult(status -> {
            template.convertAndSend(queue + ".transacted", "one");
            template.convertAndSend(queue + ".transacted", "two");
        });
        assertEquals("one", receive(queue + ".transacted", PATIENCE_MS));
        transaction.executeWithoutResult(status -> {
            assertEquals("two", receive(queue + ".transacted", PATIENCE_MS));
            status.setRollbackOnly();
        });
        assertEquals("two", receive(queue + ".transacted", PATIENCE_MS));
        assertNull(receive(queue + ".transacted", ABSENCE_MS));
    }

    @Test
    void aTopicsListenerGetsWhatIsPublished() throws Exception {
        ActiveMQTopic topic = new ActiveMQTopic(queue + ".news");
        // The container subscribes in the background: what is published before that, nobody gets.
        String received = null;
        for (int attempt = 0; attempt < 100 && received == null; attempt++) {
            template.convertAndSend(topic, "published");
            received = application.news.poll(ABSENCE_MS, TimeUnit.MILLISECONDS);
        }
        assertEquals("published", received);
    }

    @Test
    void aListenerSelectsAndMapsAreConverted() throws Exception {
        for (String region : new String[] {"US", "EU"}) {
            template.convertAndSend(queue + ".maps", Map.of("region", region, "number", 7L), message -> {
                message.setStringProperty("region", region);
                return message;
            });
        }
        assertEquals(Map.of("region", "EU", "number", 7L), next(application.maps));
        Object left = template.receiveSelectedAndConvert(queue + ".maps", "region = 'US'");
        assertEquals(Map.of("region", "US", "number", 7L), left);
    }
}
