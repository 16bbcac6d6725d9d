// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import javax.jms.InvalidDestinationException;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Publishing and subscribing, with subscriptions that end with their consumer and with such that stay. */
class TopicsTest extends JmsTest {
    private static final boolean NO_LOCAL = true;

    private Session publisher;
    private Topic topic;

    @BeforeEach
    void open() throws JMSException {
        publisher = session();
        topic = publisher.createTopic(name);
    }

    /** A durable subscriber on a connection of its own, which is to be closed to leave. */
    private final class Durable {
        final ActiveMQConnection connection;
        final Session session;
        final MessageConsumer consumer;

        Durable(String selector, boolean noLocal) throws JMSException {
            connection = connectAs(name);
            session = auto(connection);
            consumer = session.createDurableSubscriber(topic, "sub", selector, noLocal);
        }

        Durable() throws JMSException {
            this(null, false);
        }

        void leave() throws JMSException {
            connection.close();
        }
    }

    @Test
    void everySubscriberGetsEveryMessageOnce() throws JMSException {
        List<MessageConsumer> subscribers = new ArrayList<>();
        for (int number = 0; number < 5; number++) {
            subscribers.add(session().createConsumer(topic));
        }
        sendMany(publisher, topic, 10);
        for (MessageConsumer subscriber : subscribers) {
            expect(subscriber, numbers(0, 10));
            expectNothing(subscriber);
        }
    }

    @Test
    void whoSubscribesLaterMissesWhatWasSent() throws JMSException {
        send(publisher, topic, "missed");
        MessageConsumer late = session().createConsumer(topic);
        send(publisher, topic, "seen");
        expect(late, "seen");
    }

    @Test
    void whoClosesTheConsumerGetsNoMore() throws JMSException {
        Session session = session();
        MessageConsumer first = session.createConsumer(topic);
        send(publisher, topic, "one");
        expect(first, "one");
        first.close();
        send(publisher, topic, "two");
        MessageConsumer second = session.createConsumer(topic);
        send(publisher, topic, "three");
        expect(second, "three");
    }

    @Test
    void whatAConnectionPublishesItselfCanBeLeftOut() throws JMSException {
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        MessageConsumer foreign = session.createConsumer(topic, null, NO_LOCAL);
        MessageConsumer all = session.createConsumer(topic);
        send(auto(connection), topic, "own");
        send(publisher, topic, "foreign");
        expect(foreign, "foreign");
        expect(all, "own", "foreign");
        expectNothing(foreign);
    }

    @Test
    void aSubscriberCanSelect() throws JMSException {
        MessageConsumer even = session().createConsumer(topic, "number BETWEEN 2 AND 3");
        var producer = publisher.createProducer(topic);
        for (int number = 0; number < 5; number++) {
            Message message = publisher.createTextMessage(Integer.toString(number));
            message.setIntProperty("number", number);
            producer.send(message);
        }
        expect(even, "2", "3");
        expectNothing(even);
    }

    @Test
    void aDurableSubscriptionKeepsWhatComesWhileItsOwnerIsAway() throws JMSException {
        Durable owner = new Durable();
        sendMany(publisher, topic, 1);
        expect(owner.consumer, "0");
        owner.leave();
        send(publisher, topic, "1", "2");
        owner = new Durable();
        expect(owner.consumer, "1", "2");
        expectNothing(owner.consumer);
    }

    @Test
    void whatADurableSubscriberDidNotAcknowledgeComesAgain() throws JMSException {
        ActiveMQConnection connection = connectAs(name);
        MessageConsumer consumer = client(connection).createDurableSubscriber(topic, "sub");
        sendMany(publisher, topic, 3);
        receive(consumer).acknowledge();
        expect(consumer, "1");
        connection.close();
        MessageConsumer back = new Durable().consumer;
        Message again = receive(back);
        assertEquals("1", text(again));
        assertTrue(again.getJMSRedelivered());
        expect(back, "2");
    }

    @Test
    void aSubscriptionThatIsUnsubscribedForgets() throws JMSException {
        new Durable().leave();
        send(publisher, topic, "forgotten");
        ActiveMQConnection connection = connectAs(name);
        auto(connection).unsubscribe("sub");
        connection.close();
        MessageConsumer consumer = new Durable().consumer;
        send(publisher, topic, "seen");
        expect(consumer, "seen");
    }

    @Test
    void aSubscriptionCannotBeUnsubscribedWhileItIsUsed() throws JMSException {
        Durable owner = new Durable();
        assertThrows(JMSException.class, () -> owner.session.unsubscribe("sub"));
        send(publisher, topic, "still there");
        expect(owner.consumer, "still there");
        owner.consumer.close();
        owner.session.unsubscribe("sub");
    }

    @Test
    void aSubscriptionThatDoesNotExistCannotBeUnsubscribed() throws JMSException {
        Session session = auto(connectAs(name));
        assertThrows(InvalidDestinationException.class, () -> session.unsubscribe("nobody"));
    }

    @Test
    void aSubscriptionIsUsedByOneAtATime() throws JMSException {
        Durable owner = new Durable();
        assertThrows(JMSException.class, () -> owner.session.createDurableSubscriber(topic, "sub"));
        send(publisher, topic, "once");
        expect(owner.consumer, "once");
    }

    @Test
    void anotherSelectorIsAnotherSubscription() throws JMSException {
        Durable owner = new Durable("colour = 'red'", false);
        owner.leave();
        Message red = publisher.createTextMessage("old and red");
        red.setStringProperty("colour", "red");
        publisher.createProducer(topic).send(red);
        owner = new Durable("colour = 'blue'", false);
        Message blue = publisher.createTextMessage("new and blue");
        blue.setStringProperty("colour", "blue");
        publisher.createProducer(topic).send(blue);
        expect(owner.consumer, "new and blue");
        owner.leave();
        expectNothing(new Durable("colour = 'red'", false).consumer);
    }

    @Test
    void anotherTopicIsAnotherSubscription() throws JMSException {
        new Durable().leave();
        send(publisher, topic, "old");
        Topic other = publisher.createTopic(name + ".other");
        ActiveMQConnection connection = connectAs(name);
        MessageConsumer moved = auto(connection).createDurableSubscriber(other, "sub");
        send(publisher, other, "new");
        expect(moved, "new");
        connection.close();
        expectNothing(new Durable().consumer);
    }

    @Test
    void aDurableSubscriptionSelects() throws JMSException {
        Durable owner = new Durable("number > 1", false);
        owner.leave();
        var producer = publisher.createProducer(topic);
        for (int number = 0; number < 4; number++) {
            Message message = publisher.createTextMessage(Integer.toString(number));
            message.setIntProperty("number", number);
            producer.send(message);
        }
        owner = new Durable("number > 1", false);
        expect(owner.consumer, "2", "3");
        expectNothing(owner.consumer);
    }

    @Test
    void aDurableSubscriptionCanLeaveOutItsOwn() throws JMSException {
        Durable owner = new Durable(null, NO_LOCAL);
        send(owner.session, topic, "own");
        send(publisher, topic, "foreign");
        expect(owner.consumer, "foreign");
        expectNothing(owner.consumer);
    }

    @Test
    void subscriptionsOfOneClientAreApart() throws JMSException {
        ActiveMQConnection connection = connectAs(name);
        Session session = auto(connection);
        MessageConsumer first = session.createDurableSubscriber(topic, "first");
        MessageConsumer second = session.createDurableSubscriber(topic, "second");
        send(publisher, topic, "to both");
        expect(first, "to both");
        connection.close();
        connection = connectAs(name);
        session = auto(connection);
        expectNothing(session.createDurableSubscriber(topic, "first"));
        expect(session.createDurableSubscriber(topic, "second"), "to both");
        second.close();
    }

    @Test
    void theSameNameOfAnotherClientIsAnotherSubscription() throws JMSException {
        new Durable().leave();
        send(publisher, topic, "for the first");
        ActiveMQConnection other = connectAs(name + ".other");
        expectNothing(auto(other).createDurableSubscriber(topic, "sub"));
        expect(new Durable().consumer, "for the first");
    }

    @Test
    void aDurableSubscriptionToAPattern() throws JMSException {
        ActiveMQConnection connection = connectAs(name);
        auto(connection).createDurableSubscriber(publisher.createTopic(name + ".*"), "all");
        send(publisher, publisher.createTopic(name + ".a"), "early");
        connection.close();
        send(publisher, publisher.createTopic(name + ".a"), "a");
        send(publisher, publisher.createTopic(name + ".b"), "b");
        connection = connectAs(name);
        MessageConsumer all = auto(connection).createDurableSubscriber(publisher.createTopic(name + ".*"), "all");
        List<String> texts = new ArrayList<>(take(all, 3));
        texts.sort(null);
        assertEquals(List.of("a", "b", "early"), texts);
    }

    @Test
    void aDurableConsumerByTheNewerInterface() throws JMSException {
        ActiveMQConnection connection = connectAs(name);
        MessageConsumer consumer = auto(connection).createDurableConsumer(topic, "sub");
        send(publisher, topic, "durable");
        expect(consumer, "durable");
    }

    @Test
    void aBacklogOfADurableSubscriptionComesInOrder() throws JMSException {
        new Durable().leave();
        Session bulk = transacted(connect());
        sendMany(bulk, topic, 1000);
        bulk.commit();
        expect(new Durable().consumer, numbers(0, 1000));
    }

    @Test
    void topicsAndQueuesOfOneNameAreApart() throws JMSException {
        Session session = session();
        MessageConsumer onQueue = session.createConsumer(session.createQueue(name));
        MessageConsumer onTopic = session.createConsumer(topic);
        send(publisher, topic, "topic");
        send(publisher, publisher.createQueue(name), "queue");
        expect(onTopic, "topic");
        expect(onQueue, "queue");
        expectNothing(onTopic);
        expectNothing(onQueue);
    }
}
