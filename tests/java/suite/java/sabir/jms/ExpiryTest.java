// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.junit.jupiter.api.Test;
import sabir.harness.Broker;

/** Messages whose time is over: at dispatch, and in queues that nobody reads. */
class ExpiryTest extends JmsTest {
    private String uri;

    @Override
    String brokerUri() {
        return uri == null ? super.brokerUri() : uri;
    }

    @Test
    void whatExpiredBeforeItsConsumerCameIsNotDelivered() throws JMSException {
        Session session = session();
        Queue queue = session.createQueue(name);
        MessageProducer producer = session.createProducer(queue);
        producer.setTimeToLive(1);
        Message expired = session.createTextMessage("expired");
        producer.send(expired);
        outlive(expired);
        producer.setTimeToLive(0);
        producer.send(session.createTextMessage("lasting"));
        producer.setTimeToLive(3_600_000);
        producer.send(session.createTextMessage("in time"));
        assertEquals(List.of("lasting", "in time"), drain(queue));
    }

    @Test
    void whatExpiresInTheClientsHandsIsNotShown() throws JMSException {
        Session session = session();
        Queue queue = session.createQueue(name);
        MessageConsumer consumer = session.createConsumer(queue);
        MessageProducer producer = session.createProducer(queue);
        producer.setTimeToLive(60);
        producer.send(session.createTextMessage("expires while it waits there"));
        // Another queue to wait at: the message above is prefetched meanwhile, and gets too old.
        expectNothing(session.createConsumer(session.createQueue(name + ".none")));
        expectNothing(consumer);
        producer.setTimeToLive(0);
        producer.send(session.createTextMessage("next"));
        expect(consumer, "next");
    }

    @Test
    void topicsExpireToo() throws JMSException {
        ActiveMQConnection owner = connectAs(name);
        auto(owner).createDurableSubscriber(auto(owner).createTopic(name), "sub");
        owner.close();
        Session session = session();
        MessageProducer producer = session.createProducer(session.createTopic(name));
        producer.setTimeToLive(1);
        Message expired = session.createTextMessage("expired");
        producer.send(expired);
        outlive(expired);
        producer.setTimeToLive(0);
        producer.send(session.createTextMessage("lasting"));
        owner = connectAs(name);
        MessageConsumer consumer = auto(owner).createDurableSubscriber(session.createTopic(name), "sub");
        expect(consumer, "lasting");
        expectNothing(consumer);
    }

    @Test
    void expiredMessagesOfAQueueThatNobodyReadsAreSweptToTheDeadLetters() throws JMSException {
        Broker broker = closing(Broker.start(300));
        uri = broker.uri();
        Session session = session();
        MessageConsumer deadLetters = session.createConsumer(session.createQueue(DEAD_LETTERS));
        MessageProducer producer = session.createProducer(session.createQueue(name));
        producer.setTimeToLive(1);
        for (String text : numbers(0, 20)) {
            producer.send(session.createTextMessage(text));
        }
        producer.setTimeToLive(0);
        producer.send(session.createTextMessage("lasting"));
        producer.setTimeToLive(1);
        producer.send(session.createTextMessage("dropped"), DeliveryMode.NON_PERSISTENT, 4, 1);
        assertEquals(20, List.copyOf(new java.util.TreeSet<>(take(deadLetters, 20))).size());
        expectNothing(deadLetters);
        assertEquals(List.of("lasting"), drain(session.createQueue(name)));
    }
}
