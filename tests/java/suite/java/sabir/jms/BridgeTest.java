// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;

import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.Test;
import sabir.harness.Broker;
import sabir.harness.Peer;

/** A network connector of a real ActiveMQ that forwards to this broker what is consumed here. */
class BridgeTest extends BridgeBase {
    @Test
    void whatIsConsumedHereIsForwardedAlsoIfItsConsumerWasThereBeforeTheBridge() throws Exception {
        Session session = session();
        Queue queue = session.createQueue(name);
        Topic topic = session.createTopic(name);
        MessageConsumer onQueue = session.createConsumer(queue);
        MessageConsumer onTopic = session.createConsumer(topic);
        Broker bridge = closing(Broker.bridgeTo(brokerUri(), null));
        Session there = at(bridge);
        sendMany(there, queue, 20);
        expect(onQueue, numbers(0, 20));
        awaitForwarding(there, topic, onTopic);
        send(there, topic, "to the topic");
        expect(onTopic, "to the topic");
    }

    @Test
    void aDurableSubscriptionHereGetsFromThereAlsoWhatWasSentWhileItsSubscriberWasAway() throws Exception {
        ActiveMQConnection connection = connectAs(name);
        Session session = auto(connection);
        Topic topic = session.createTopic(name);
        MessageConsumer consumer = session.createDurableSubscriber(topic, "durable");
        Broker bridge = closing(Broker.bridgeTo(brokerUri(), null));
        Session there = at(bridge);
        awaitForwarding(there, topic, consumer);
        connection.close();
        send(there, topic, "while away");
        ActiveMQConnection again = connectAs(name);
        session = auto(again);
        consumer = session.createDurableSubscriber(topic, "durable");
        expect(consumer, "while away");
        consumer.close();
        session.unsubscribe("durable");
    }

    @Test
    void theBridgeFollowsConsumersAsTheyComeAndGo() throws Exception {
        Broker bridge = closing(Broker.bridgeTo(brokerUri(), null));
        Session there = at(bridge);
        Session session = session();
        Queue queue = session.createQueue(name);
        sendMany(there, queue, 10);
        ActiveMQConnection connection = connect();
        MessageConsumer first = auto(connection).createConsumer(queue);
        expect(first, numbers(0, 10));
        connection.close();
        MessageConsumer second = session.createConsumer(session.createQueue(name + ".other"));
        send(there, there.createQueue(name + ".other"), "for the second");
        expect(second, "for the second");
        // Nobody here wants it any more: it stays there.
        MessageConsumer local = there.createConsumer(queue);
        eventually("the demand has gone", () -> {
            try {
                send(there, queue, "stays");
                return local.receive(ABSENCE_MS) != null;
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
    }

    @Test
    void aMessageKeepsWhatItIsOnItsWayOverTheBridge() throws Exception {
        Session session = session();
        Queue queue = session.createQueue(name);
        MessageConsumer consumer = session.createConsumer(queue);
        Broker bridge = closing(Broker.bridgeTo(brokerUri(), null));
        Session there = at(bridge);
        Message sent = there.createTextMessage("x");
        sent.setStringProperty("colour", "red");
        sent.setJMSCorrelationID("correlated");
        sent.setJMSReplyTo(there.createQueue(name + ".replies"));
        there.createProducer(queue).send(sent);
        Message received = receive(consumer);
        assertEquals("x", text(received));
        assertEquals("red", received.getStringProperty("colour"));
        assertEquals("correlated", received.getJMSCorrelationID());
        assertEquals(sent.getJMSReplyTo(), received.getJMSReplyTo());
        assertEquals(sent.getJMSMessageID(), received.getJMSMessageID());
        assertEquals(queue, received.getJMSDestination());
    }

    @Test
    void anOwnersBrokerThatDiesAndComesBackIsBridgedToAgain() throws Exception {
        Broker mine = closing(Broker.start());
        Broker bridge = closing(Broker.bridgeTo(mine.uri(), null));
        Session there = at(bridge);
        Queue queue = there.createQueue(name);
        ActiveMQConnection connection =
                start(new ActiveMQConnectionFactory("failover:(" + mine.uri() + ")?initialReconnectDelay=20"));
        MessageConsumer consumer = auto(connection).createConsumer(queue);
        send(there, queue, "before");
        expect(consumer, "before");
        mine.restart();
        send(there, queue, "after");
        expect(consumer, "after");
    }

    @Test
    void aBridgeThatMayForwardsInTheNamesOfOthersAndOneThatMayNotInItsOwn() throws Exception {
        Broker secured = closing(Broker.secured());
        for (String user : new String[] {"ann", "bob"}) {
            ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(secured.uri());
            factory.setUserName("bob");
            factory.setPassword("bob's secret");
            Session session = auto(start(factory));
            Queue queue = session.createQueue("public." + name + "." + user);
            MessageConsumer consumer = session.createConsumer(queue);
            Broker bridge = closing(Broker.bridgeTo(secured.uri(), user));
            ActiveMQConnection connection = start(new ActiveMQConnectionFactory(bridge.uri()));
            Session there = auto(connection);
            Message sent = there.createTextMessage("whose");
            ((ActiveMQMessage) sent).setUserID("carl");
            there.createProducer(queue).send(sent);
            // ActiveMQ believes whoever calls itself a bridge.
            String expected = user.equals("ann") || Peer.isActiveMq() ? "carl" : user;
            assertEquals(expected, receive(consumer).getStringProperty("JMSXUserID"));
            // The next one has its name.
            connection.close();
            bridge.kill();
        }
    }
}
