// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ConsumerInfo;
import org.junit.jupiter.api.Test;
import sabir.harness.Broker;

/** A duplex network connector of a real ActiveMQ: over its one connection this broker forwards what is consumed there. */
class DuplexBridgeTest extends BridgeBase {
    @Test
    void whatIsConsumedThereIsForwardedFromHereAndWhatIsConsumedHereFromThere() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session there = at(bridge);
        Session here = session();
        Queue there1 = there.createQueue(name + ".there");
        Queue here1 = here.createQueue(name + ".here");
        sendMany(here, there1, 50);
        MessageConsumer consumerThere = there.createConsumer(there1);
        MessageConsumer consumerHere = here.createConsumer(here1);
        sendMany(there, here1, 50);
        sendMany(here, there1, 50);
        expect(consumerThere, numbers(0, 50));
        expect(consumerThere, numbers(0, 50));
        expect(consumerHere, numbers(0, 50));
        expectNothing(consumerThere);
        expectNothing(consumerHere);
    }

    @Test
    void topicsReachBothSidesOnceHoweverManyListen() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session there = at(bridge);
        Session here = session();
        Topic topic = here.createTopic(name);
        MessageConsumer consumerThere = there.createConsumer(topic);
        MessageConsumer anotherThere = there.createConsumer(topic);
        MessageConsumer consumerHere = here.createConsumer(topic);
        awaitForwarding(here, topic, consumerThere);
        awaitForwarding(there, topic, consumerHere);
        for (MessageConsumer consumer : new MessageConsumer[] {consumerThere, anotherThere, consumerHere}) {
            passOver(consumer);
        }
        send(here, topic, "from here");
        for (MessageConsumer consumer : new MessageConsumer[] {consumerThere, anotherThere, consumerHere}) {
            expect(consumer, "from here");
        }
        send(there, topic, "from there");
        for (MessageConsumer consumer : new MessageConsumer[] {consumerThere, anotherThere, consumerHere}) {
            expect(consumer, "from there");
            expectNothing(consumer);
        }
    }

    @Test
    void aRequestFromThereIsAnsweredHereInItsTemporaryQueue() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session there = at(bridge);
        Session here = session();
        Queue requests = here.createQueue(name);
        MessageConsumer server = here.createConsumer(requests);
        for (int number = 0; number < 5; number++) {
            TemporaryQueue answers = there.createTemporaryQueue();
            MessageConsumer client = there.createConsumer(answers);
            Message request = there.createTextMessage("request " + number);
            request.setJMSReplyTo(answers);
            there.createProducer(requests).send(request);
            Message received = receive(server);
            MessageProducer producer = here.createProducer(null);
            // The client's own check knows only what its own broker has told it by now.
            eventually("the answer may be sent", () -> {
                try {
                    producer.send(received.getJMSReplyTo(), here.createTextMessage("answer to " + text(received)));
                    return true;
                } catch (JMSException early) {
                    return false;
                }
            });
            expect(client, "answer to request " + number);
            client.close();
            answers.delete();
        }
    }

    @Test
    void aMessageKeepsWhatItIsAndItsWayIsWrittenDown() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session there = at(bridge);
        Session here = session();
        Queue queue = there.createQueue(name);
        MessageConsumer consumer = there.createConsumer(queue);
        for (int mode : new int[] {DeliveryMode.PERSISTENT, DeliveryMode.NON_PERSISTENT}) {
            Message sent = here.createTextMessage("x".repeat(100_000));
            sent.setStringProperty("colour", "red");
            sent.setJMSCorrelationID("correlated");
            sent.setJMSType("kind");
            MessageProducer producer = here.createProducer(queue);
            producer.setDeliveryMode(mode);
            producer.setPriority(7);
            producer.send(sent);
            Message received = receive(consumer);
            assertEquals(text(sent), text(received));
            assertEquals("red", received.getStringProperty("colour"));
            assertEquals("correlated", received.getJMSCorrelationID());
            assertEquals("kind", received.getJMSType());
            assertEquals(7, received.getJMSPriority());
            assertEquals(mode, received.getJMSDeliveryMode());
            assertEquals(sent.getJMSMessageID(), received.getJMSMessageID());
            assertEquals(queue, received.getJMSDestination());
        }
    }

    @Test
    void whenNobodyConsumesThereAnyMoreWhatIsSentHereStays() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session here = session();
        Queue queue = here.createQueue(name);
        ActiveMQConnection connection = start(new ActiveMQConnectionFactory(bridge.uri()));
        MessageConsumer consumer = auto(connection).createConsumer(queue);
        sendMany(here, queue, 10);
        expect(consumer, numbers(0, 10));
        connection.close();
        MessageConsumer local = here.createConsumer(queue);
        eventually("the demand has gone", () -> {
            try {
                send(here, queue, "stays");
                return local.receive(ABSENCE_MS) != null;
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
    }

    @Test
    void aDurableSubscriptionThereGetsFromHereAlsoWhatWasSentWhileItsSubscriberWasAway() throws Exception {
        Broker bridge = closing(Broker.duplexBridgeTo(brokerUri()));
        Session here = session();
        Topic topic = here.createTopic(name);
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(bridge.uri());
        factory.setClientID(name);
        ActiveMQConnection connection = start(factory);
        MessageConsumer consumer = auto(connection).createDurableSubscriber(topic, "durable");
        awaitForwarding(here, topic, consumer);
        connection.close();
        send(here, topic, "while away");
        Session again = auto(start(factory));
        consumer = again.createDurableSubscriber(topic, "durable");
        expect(consumer, "while away");
        consumer.close();
        again.unsubscribe("durable");
    }

    @Test
    void twoBridgesOfOneBrokerAreNoDemandForEachOther() throws Exception {
        Broker mine = closing(Broker.start());
        Broker bridge = closing(Broker.duplexBridgeTo(mine.uri(), mine.uri()));
        Session there = at(bridge);
        Session here = auto(start(new ActiveMQConnectionFactory(mine.uri())));
        Queue queue = here.createQueue(name);
        MessageConsumer advisories = here.createConsumer(here.createTopic("ActiveMQ.Advisory.Consumer.Queue." + name));
        MessageConsumer consumer = there.createConsumer(queue);
        for (int number = 0; number < 2; number++) {
            ConsumerInfo info = (ConsumerInfo) ((ActiveMQMessage) receive(advisories)).getDataStructure();
            assertEquals(1, info.getBrokerPath().length);
        }
        sendMany(here, queue, 100);
        List<String> texts = take(consumer, 100);
        texts.sort(Comparator.comparingInt(Integer::parseInt));
        assertEquals(List.of(numbers(0, 100)), texts);
        consumer.close();
        // If the bridges took each other for consumers, this would go here and there without end.
        sendMany(there, queue, 100);
        eventually("all of it stays there", () -> {
            try {
                QueueBrowser browser = there.createBrowser(queue);
                int count = Collections.list(browser.getEnumeration()).size();
                browser.close();
                return count == 100;
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
    }

    @Test
    void nothingIsLostOrDoubledWhenTheBridgesConnectionIsMadeAnew() throws Exception {
        Broker mine = closing(Broker.start());
        Broker bridge = closing(Broker.duplexBridgeTo(mine.uri()));
        Session there = at(bridge);
        MessageConsumer consumer = there.createConsumer(there.createQueue(name));
        ActiveMQConnection connection =
                start(new ActiveMQConnectionFactory("failover:(" + mine.uri() + ")?initialReconnectDelay=20"));
        Session here = auto(connection);
        Queue queue = here.createQueue(name);
        sendMany(here, queue, 100);
        expect(consumer, numbers(0, 100));
        mine.restart();
        send(here, queue, "after");
        expect(consumer, "after");
        assertNull(consumer.receive(ABSENCE_MS));
    }
}
