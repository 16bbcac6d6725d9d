// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.BytesMessage;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageListener;
import javax.jms.MessageProducer;
import javax.jms.Session;

/** The connections of a run, each with one session that acknowledges by itself. */
final class Links implements AutoCloseable {
    /** How long after its end a run may wait for what is still under way. */
    static final long PATIENCE_MS = 60_000;

    /** The first thing that went wrong in a thread of the client. */
    final AtomicReference<Throwable> failure = new AtomicReference<>();

    private final Order order;
    private final List<Connection> connections = new ArrayList<>();
    private final byte[] body;

    Links(Order order) {
        this.order = order;
        this.body = new byte[order.sizeBytes()];
    }

    private Session session() throws JMSException {
        Connection connection = order.connect();
        connections.add(connection);
        connection.setExceptionListener(error -> failure.compareAndSet(null, error));
        return connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    }

    /** A consumer with a connection of its own. */
    void consume(MessageListener listener) throws JMSException {
        Session session = session();
        MessageConsumer consumer = session.createConsumer(session.createQueue(order.queue()));
        consumer.setMessageListener(listener);
    }

    /** A producer with a connection of its own. */
    Sender sender() throws JMSException {
        Session session = session();
        MessageProducer producer = session.createProducer(session.createQueue(order.queue()));
        producer.setDeliveryMode(order.persistent() ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
        return stamp -> {
            BytesMessage message = session.createBytesMessage();
            message.writeLong(stamp);
            message.writeBytes(body, Long.BYTES, body.length - Long.BYTES);
            producer.send(message);
        };
    }

    /** Sends messages of the order's size whose body begins with a number. */
    interface Sender {
        void send(long stamp) throws JMSException;
    }

    /** Starts a thread that fails the run if it fails. */
    Thread start(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception error) {
                failure.compareAndSet(null, error);
            }
        }, name);
        thread.start();
        return thread;
    }

    /** What a thread does. */
    interface Work {
        void run() throws Exception;
    }

    /** Fails if anything has failed. */
    void check() {
        Throwable error = failure.get();
        if (error != null) {
            throw new IllegalStateException(error);
        }
    }

    @Override
    public void close() throws JMSException {
        for (Connection connection : connections) {
            connection.close();
        }
    }
}
