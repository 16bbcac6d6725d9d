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
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import sabir.harness.Broker;

/** What is there after kill -9 and a new start: what was confirmed, and nothing that was not to be. */
@Timeout(120)
class RestartTest extends JmsTest {
    private final Broker broker = closing(Broker.start());

    @Override
    String brokerUri() {
        return broker.uri();
    }

    /** Kills the broker and starts it again; connections that stood are dead, and not to be closed. */
    private void restart(ActiveMQConnection... connections) throws Exception {
        broker.kill();
        for (ActiveMQConnection connection : connections) {
            breakLink(connection);
        }
        broker.restart();
    }

    @Test
    void oneStartKeepsWhatWasConfirmedOfEveryKind() throws Exception {
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        sendMany(session, queue, 20);
        Queue volatileQueue = session.createQueue(name + ".volatile");
        MessageProducer quick = session.createProducer(volatileQueue);
        quick.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        quick.send(session.createTextMessage("gone"));
        final Session transacted = transacted(connection);
        Queue committed = session.createQueue(name + ".committed");
        Queue open = session.createQueue(name + ".open");
        send(transacted, committed, "a", "b");
        transacted.commit();
        send(transacted, open, "never");
        Topic topic = session.createTopic(name);
        ActiveMQConnection owner = connectAs(name);
        auto(owner).createDurableSubscriber(topic, "sub", "colour IS NULL", false);
        owner.close();
        sendMany(session, topic, 5);

        restart(connection);

        assertEquals(List.of(numbers(0, 20)), drain(queue));
        assertEquals(List.of(), drain(volatileQueue));
        assertEquals(List.of("a", "b"), drain(committed));
        assertEquals(List.of(), drain(open));
        ActiveMQConnection back = connectAs(name);
        MessageConsumer subscriber = auto(back).createDurableSubscriber(topic, "sub", "colour IS NULL", false);
        expect(subscriber, numbers(0, 5));
        expectNothing(subscriber);
    }

    @Test
    void whatWasAcknowledgedStaysConsumedAndWhatWasNotComesBack() throws Exception {
        ActiveMQConnection connection = connect();
        Session session = client(connection);
        Queue queue = session.createQueue(name);
        sendMany(session, queue, 10);
        MessageConsumer consumer = session.createConsumer(queue);
        for (int number = 0; number < 4; number++) {
            Message message = receive(consumer);
            if (number == 2) {
                message.acknowledge();
            }
        }
        // The acknowledgement was sent without waiting: an answered request behind it says that it was taken.
        session.createConsumer(session.createQueue(name + ".behind")).close();
        session.createTemporaryQueue();
        // ActiveMQ writes acknowledgements of queues behind; a persistent message waits for the disk.
        send(session, session.createQueue(name + ".behind"), "x");

        restart(connection);

        MessageConsumer back = session().createConsumer(queue);
        expect(back, numbers(3, 10));
        expectNothing(back);
    }

    @Test
    void headersPropertiesAndDeadLettersSurvive() throws Exception {
        ActiveMQConnection connection = connect();
        connection.getRedeliveryPolicy().setMaximumRedeliveries(0);
        Session session = transacted(connection);
        Queue queue = session.createQueue(name);
        Message sent = session.createTextMessage("kept");
        sent.setStringProperty("property", "value");
        sent.setJMSCorrelationID("correlation");
        sent.setJMSReplyTo(session.createQueue(name + ".replies"));
        sent.setStringProperty("JMSXGroupID", "group");
        MessageProducer producer = session.createProducer(queue);
        producer.setPriority(8);
        producer.send(sent);
        session.commit();
        Queue poisoned = session.createQueue(name + ".poisoned");
        send(session, poisoned, "poison");
        session.commit();
        MessageConsumer consumer = session.createConsumer(poisoned);
        expect(consumer, "poison");
        session.rollback();
        consumer.close();
        session.close();
        Session watching = auto(connection);
        // Seen, so it is there; not taken.
        eventually("the dead letter is there", () -> {
            try {
                return watching.createBrowser(watching.createQueue(DEAD_LETTERS)).getEnumeration().hasMoreElements();
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });

        restart(connection);

        Session back = session();
        Message message = receive(back.createConsumer(queue));
        assertEquals(sent.getJMSMessageID(), message.getJMSMessageID());
        assertEquals("value", message.getStringProperty("property"));
        assertEquals("correlation", message.getJMSCorrelationID());
        assertEquals(sent.getJMSReplyTo(), message.getJMSReplyTo());
        assertEquals("group", message.getStringProperty("JMSXGroupID"));
        assertEquals(8, message.getJMSPriority());
        ActiveMQMessage dead = (ActiveMQMessage) receive(back.createConsumer(back.createQueue(DEAD_LETTERS)));
        assertEquals("poison", text(dead));
        assertEquals(poisoned, dead.getOriginalDestination());
    }

    @Test
    void aTransactionWhoseBrokerDiedBeforeTheCommitNeverHappened() throws Exception {
        ActiveMQConnection connection = connect();
        Session session = transacted(connection);
        Queue queue = session.createQueue(name);
        sendMany(auto(connection), queue, 3);
        Queue other = session.createQueue(name + ".other");
        expect(session.createConsumer(queue), "0", "1");
        send(session, other, "never");

        restart(connection);

        assertEquals(List.of("0", "1", "2"), drain(queue));
        assertEquals(List.of(), drain(other));
    }
}
