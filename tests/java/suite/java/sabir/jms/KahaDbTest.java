// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import javax.jms.BytesMessage;
import javax.jms.DeliveryMode;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.ObjectMessage;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.StreamMessage;
import javax.jms.TextMessage;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import sabir.harness.Broker;

/** What a real ActiveMQ has stored is taken over, and served as it would have been. */
@Timeout(180)
@DisabledIfSystemProperty(named = "peer", matches = "activemq", disabledReason = "it is what is imported from")
class KahaDbTest extends JmsTest {
    private Broker broker = closing(Broker.activeMq());

    @Override
    String brokerUri() {
        return broker.uri();
    }

    /** Kills ActiveMQ, and goes on with Sabir. */
    private void move(ActiveMQConnection... connections) throws Exception {
        move(new long[0], connections);
    }

    private void move(long[] killedAfterMs, ActiveMQConnection... connections) throws Exception {
        broker.kill();
        for (ActiveMQConnection connection : connections) {
            breakLink(connection);
        }
        broker = closing(Broker.takingOver(broker, killedAfterMs));
    }

    @Test
    void anImportThatIsKilledAgainAndAgainGoesOnAndNothingIsThereTwice() throws Exception {
        ActiveMQConnection connection = connect("?jms.useAsyncSend=true");
        Session session = transacted(connection);
        for (int queue = 0; queue < 4; queue++) {
            sendMany(session, session.createQueue(name + "." + queue), 3_000);
            session.commit();
        }
        move(new long[] {700, 1_000, 1_300, 1_600, 1_900, 2_200, 2_500, 3_000, 3_500}, connection);
        Session here = session();
        for (int queue = 0; queue < 4; queue++) {
            MessageConsumer consumer = here.createConsumer(here.createQueue(name + "." + queue));
            expect(consumer, numbers(0, 3_000));
            expectNothing(consumer);
        }
    }

    @Test
    void messagesOfEveryKindComeAsTheyWereStored() throws Exception {
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        MessageProducer producer = session.createProducer(queue);
        final Queue answers = session.createQueue(name + ".answers");
        BytesMessage bytes = session.createBytesMessage();
        bytes.writeBytes(new byte[] {0, 1, -1});
        MapMessage map = session.createMapMessage();
        map.setString("text", "grün");
        map.setLong("long", Long.MIN_VALUE);
        StreamMessage stream = session.createStreamMessage();
        stream.writeInt(7);
        stream.writeString("seven");
        List<Message> sent = new ArrayList<>(List.of(session.createTextMessage("plain ü"), bytes, map, stream,
                session.createObjectMessage("object"), session.createMessage()));
        for (Message message : sent) {
            message.setStringProperty("colour", "red");
            message.setDoubleProperty("size", 1.5);
            message.setJMSCorrelationID("c");
            message.setJMSType("type");
            message.setJMSReplyTo(answers);
            producer.send(message, DeliveryMode.PERSISTENT, 4, 3_600_000);
        }
        move(connection);
        Session here = session();
        MessageConsumer consumer = here.createConsumer(here.createQueue(name));
        for (Message expected : sent) {
            Message found = receive(consumer);
            assertEquals(expected.getJMSMessageID(), found.getJMSMessageID());
            assertEquals(expected.getJMSTimestamp(), found.getJMSTimestamp());
            assertEquals(expected.getJMSExpiration(), found.getJMSExpiration());
            assertEquals(List.of("c", "type", answers), List.of(found.getJMSCorrelationID(), found.getJMSType(),
                    found.getJMSReplyTo()));
            assertEquals("red", found.getStringProperty("colour"));
            assertEquals(1.5, found.getDoubleProperty("size"));
            if (expected instanceof TextMessage text) {
                assertEquals(text.getText(), ((TextMessage) found).getText());
            } else if (expected instanceof BytesMessage) {
                byte[] body = new byte[(int) ((BytesMessage) found).getBodyLength()];
                ((BytesMessage) found).readBytes(body);
                assertArrayEquals(new byte[] {0, 1, -1}, body);
            } else if (expected instanceof MapMessage) {
                assertEquals("grün", ((MapMessage) found).getString("text"));
                assertEquals(Long.MIN_VALUE, ((MapMessage) found).getLong("long"));
            } else if (expected instanceof StreamMessage) {
                assertEquals(7, ((StreamMessage) found).readInt());
                assertEquals("seven", ((StreamMessage) found).readString());
            } else {
                assertTrue(found instanceof ObjectMessage == expected instanceof ObjectMessage);
            }
        }
        expectNothing(consumer);
    }

    @Test
    void whatWasConsumedIsGoneAndOrderPrioritiesAndTransactionsAreKept() throws Exception {
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        sendMany(session, session.createQueue(name), 2_000);
        MessageConsumer consumer = session.createConsumer(session.createQueue(name));
        expect(consumer, numbers(0, 100));
        consumer.close();
        MessageProducer producer = session.createProducer(session.createQueue("prioritized." + name));
        for (int priority = 0; priority < 10; priority++) {
            producer.send(session.createTextMessage("p" + priority), DeliveryMode.PERSISTENT, priority, 0);
        }
        Session transacted = transacted(connection);
        send(transacted, session.createQueue(name + ".transacted"), "a", "b");
        transacted.commit();
        send(transacted, session.createQueue(name + ".transacted"), "never");
        move(connection);
        Session here = session();
        MessageConsumer rest = here.createConsumer(here.createQueue(name));
        expect(rest, numbers(100, 2_000));
        expectNothing(rest);
        expect(here.createConsumer(here.createQueue("prioritized." + name)), "p9", "p8", "p7", "p6", "p5", "p4", "p3",
                "p2", "p1", "p0");
        MessageConsumer committed = here.createConsumer(here.createQueue(name + ".transacted"));
        expect(committed, "a", "b");
        expectNothing(committed);
    }

    @Test
    void durableSubscriptionsHaveTheirOwnBacklogs() throws Exception {
        ActiveMQConnection sender = connect();
        Session session = auto(sender);
        Topic topic = session.createTopic(name);
        ActiveMQConnection first = connectAs(name + "-first");
        MessageConsumer all = auto(first).createDurableSubscriber(topic, "all");
        ActiveMQConnection second = connectAs(name + "-second");
        Session individually = second.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
        MessageConsumer some = individually.createDurableSubscriber(topic, "some");
        ActiveMQConnection third = connectAs(name + "-third");
        auto(third).createDurableSubscriber(topic, "red", "colour = 'red'", false).close();
        MessageProducer producer = session.createProducer(topic);
        for (int number = 0; number < 20; number++) {
            Message message = session.createTextMessage(Integer.toString(number));
            message.setStringProperty("colour", number % 4 == 0 ? "red" : "blue");
            producer.send(message);
        }
        expect(all, numbers(0, 5));
        // Every third one, so that what is left has holes.
        for (int number = 0; number < 12; number++) {
            Message message = receive(some);
            if (number % 3 == 0) {
                message.acknowledge();
            }
        }
        ActiveMQConnection late = connectAs(name + "-late");
        auto(late).createDurableSubscriber(topic, "late").close();
        send(session, topic, "20");
        move(sender, first, second, third, late);
        Topic here = session().createTopic(name);
        MessageConsumer allHere = auto(connectAs(name + "-first")).createDurableSubscriber(here, "all");
        expect(allHere, numbers(5, 21));
        MessageConsumer someHere = auto(connectAs(name + "-second")).createDurableSubscriber(here, "some");
        List<String> left = new ArrayList<>(List.of(numbers(0, 21)));
        left.removeAll(List.of("0", "3", "6", "9"));
        expect(someHere, left.toArray(String[]::new));
        MessageConsumer redHere = auto(connectAs(name + "-third")).createDurableSubscriber(here, "red",
                "colour = 'red'", false);
        expect(redHere, "0", "4", "8", "12", "16");
        MessageConsumer lateHere = auto(connectAs(name + "-late")).createDurableSubscriber(here, "late");
        expect(lateHere, "20");
        for (MessageConsumer consumer : List.of(allHere, someHere, redHere, lateHere)) {
            expectNothing(consumer);
        }
    }
}
