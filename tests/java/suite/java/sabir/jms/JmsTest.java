// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import javax.jms.Connection;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import sabir.harness.Broker;
import sabir.harness.Gate;

/** What all tests share: connections that are closed at the end, names of their own, and words for the usual steps. */
abstract class JmsTest {
    /** Longer than any answer takes, on a busy machine too. */
    static final long PATIENCE_MS = 30_000;
    /** How long we look before we believe that nothing comes. */
    static final long ABSENCE_MS = 150;
    /** Where dead letters go. */
    static final String DEAD_LETTERS = "ActiveMQ.DLQ";

    private static final AtomicInteger NEXT = new AtomicInteger();
    private static final String RUN = Long.toString(System.currentTimeMillis(), 36);

    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    /** A name that no other test has. */
    String name;

    @BeforeEach
    void nameTheTest(TestInfo info) {
        String method = info.getTestMethod().orElseThrow().getName();
        name = getClass().getSimpleName() + "." + method + "." + RUN + "-" + NEXT.incrementAndGet();
    }

    @AfterEach
    void closeWhatWasOpened() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
    }

    /** To be closed at the end of the test, last first. */
    <T extends AutoCloseable> T closing(T thing) {
        opened.push(thing);
        return thing;
    }

    /** The broker's address. */
    String brokerUri() {
        return Broker.shared().uri();
    }

    ActiveMQConnectionFactory factory(String options) {
        return new ActiveMQConnectionFactory(brokerUri() + options);
    }

    /** A started connection. */
    ActiveMQConnection connect() throws JMSException {
        return connect("");
    }

    /** A started connection with options in the address, as "?jms.useAsyncSend=true". */
    ActiveMQConnection connect(String options) throws JMSException {
        return start(factory(options));
    }

    ActiveMQConnection start(ActiveMQConnectionFactory factory) throws JMSException {
        ActiveMQConnection connection = closing((ActiveMQConnection) factory.createConnection());
        connection.start();
        return connection;
    }

    /** A started connection with a client id, as durable subscriptions need it. */
    ActiveMQConnection connectAs(String clientId) throws JMSException {
        ActiveMQConnection connection = closing((ActiveMQConnection) factory("").createConnection());
        connection.setClientID(clientId);
        connection.start();
        return connection;
    }

    /** The link is gone without a farewell, as when the application dies. */
    void breakLink(ActiveMQConnection connection) throws Exception {
        opened.remove(connection);
        connection.getTransport().stop();
    }

    /** A session that acknowledges by itself, on a connection of its own. */
    Session session() throws JMSException {
        return auto(connect());
    }

    static Session auto(Connection connection) throws JMSException {
        return connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    }

    static Session client(Connection connection) throws JMSException {
        return connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    }

    static Session transacted(Connection connection) throws JMSException {
        return connection.createSession(true, Session.SESSION_TRANSACTED);
    }

    static void send(Session session, Destination destination, String... texts) throws JMSException {
        MessageProducer producer = session.createProducer(destination);
        for (String text : texts) {
            producer.send(session.createTextMessage(text));
        }
        producer.close();
    }

    /** Sends the texts "0", "1" and so on. */
    static void sendMany(Session session, Destination destination, int count) throws JMSException {
        send(session, destination, numbers(0, count));
    }

    /** The texts from one number up to another. */
    static String[] numbers(int from, int to) {
        List<String> numbers = new ArrayList<>();
        for (int number = from; number < to; number++) {
            numbers.add(Integer.toString(number));
        }
        return numbers.toArray(String[]::new);
    }

    static Message receive(MessageConsumer consumer) throws JMSException {
        Message message = consumer.receive(PATIENCE_MS);
        assertNotNull(message, "a message was to come");
        return message;
    }

    static String text(Message message) throws JMSException {
        return ((TextMessage) message).getText();
    }

    /** Receives these texts in this order. */
    static void expect(MessageConsumer consumer, String... texts) throws JMSException {
        for (String text : texts) {
            assertEquals(text, text(receive(consumer)));
        }
    }

    /** Receives so many texts. */
    static List<String> take(MessageConsumer consumer, int count) throws JMSException {
        List<String> texts = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            texts.add(text(receive(consumer)));
        }
        return texts;
    }

    static void expectNothing(MessageConsumer consumer) throws JMSException {
        Message message = consumer.receive(ABSENCE_MS);
        assertNull(message, () -> "nothing was to come: " + message);
    }

    /** What a queue holds, as a new consumer gets it; all is consumed. */
    List<String> drain(Destination destination) throws JMSException {
        Connection connection = connect();
        Session session = auto(connection);
        MessageConsumer consumer = session.createConsumer(destination);
        List<String> texts = new ArrayList<>();
        for (Message message = consumer.receive(2 * ABSENCE_MS); message != null;
                message = consumer.receive(ABSENCE_MS)) {
            texts.add(text(message));
        }
        connection.close();
        return texts;
    }

    /** Messages as a listener hands them on. */
    static BlockingQueue<Message> listen(MessageConsumer consumer) throws JMSException {
        BlockingQueue<Message> seen = new LinkedBlockingQueue<>();
        consumer.setMessageListener(seen::add);
        return seen;
    }

    static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        T item = queue.poll(PATIENCE_MS, TimeUnit.MILLISECONDS);
        assertNotNull(item, "something was to come");
        return item;
    }

    /** Waits until the time of a message that was sent is over. */
    static void outlive(Message sent) throws JMSException {
        long expiration = sent.getJMSExpiration();
        try {
            eventually("its time is over", () -> System.currentTimeMillis() > expiration + 1);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    /** Waits until something holds that nobody tells us about. */
    static void eventually(String what, BooleanSupplier holds) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MS);
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("it does not come about: " + what);
            }
            TimeUnit.MILLISECONDS.sleep(5);
        }
    }

    /** Sends one message over a gate whose answer never comes, and waits until the broker has it. */
    final CompletableFuture<Void> sendUnanswered(Gate gate, Session session, Queue queue, String text)
            throws Exception {
        MessageProducer producer = session.createProducer(queue);
        gate.swallowAnswers();
        CompletableFuture<Void> sent = CompletableFuture.runAsync(() -> {
            try {
                producer.send(session.createTextMessage(text));
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        Session watching = session();
        eventually("the broker has the message", () -> {
            try {
                return watching.createBrowser(queue).getEnumeration().hasMoreElements();
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        return sent;
    }
}
