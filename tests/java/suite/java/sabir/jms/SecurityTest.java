// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import javax.jms.JMSException;
import javax.jms.JMSSecurityException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import sabir.harness.Broker;

/** A broker where clients must log in, and may not do everything. */
class SecurityTest extends JmsTest {
    private static Broker broker;

    @BeforeAll
    static void startBroker() {
        broker = Broker.secured();
    }

    @AfterAll
    static void stopBroker() {
        broker.close();
    }

    @Override
    String brokerUri() {
        return broker.uri();
    }

    private ActiveMQConnection logIn(String user) throws JMSException {
        ActiveMQConnectionFactory factory = factory("");
        factory.setUserName(user);
        factory.setPassword(user + "'s secret");
        return start(factory);
    }

    @Override
    ActiveMQConnection connect() throws JMSException {
        return logIn("ann");
    }

    @ParameterizedTest
    @CsvSource({"ann,wrong", "nobody,ann's secret", "ann,", ",", "bob,ann's secret"})
    void whoCannotLogInIsRefused(String user, String password) throws JMSException {
        ActiveMQConnectionFactory factory = factory("");
        factory.setUserName(user);
        factory.setPassword(password);
        assertThrows(JMSSecurityException.class, () -> start(factory));
    }

    @Test
    void whoLogsInSendsAndReceives() throws JMSException {
        Session session = auto(logIn("ann"));
        Queue queue = session.createQueue("sales." + name);
        send(session, queue, "order");
        expect(session.createConsumer(queue), "order");
    }

    @Test
    void whoMayNotReadIsRefused() throws JMSException {
        Queue queue = auto(logIn("ann")).createQueue("sales." + name);
        Session session = auto(logIn("bob"));
        assertThrows(JMSSecurityException.class, () -> session.createConsumer(queue));
        assertThrows(JMSSecurityException.class, () -> session.createBrowser(queue).getEnumeration());
        // The connection goes on.
        Queue allowed = session.createQueue("public." + name);
        send(session, allowed, "allowed");
        expect(session.createConsumer(allowed), "allowed");
    }

    @Test
    void whoMayNotWriteIsRefusedAndNothingIsStored() throws JMSException {
        Session own = auto(logIn("ann"));
        Queue queue = own.createQueue("sales." + name);
        send(own, queue, "own");
        Session session = auto(logIn("bob"));
        assertThrows(JMSSecurityException.class, () -> send(session, queue, "foreign"));
        MessageProducer anonymous = session.createProducer(null);
        assertThrows(JMSSecurityException.class, () -> anonymous.send(queue, session.createTextMessage("foreign")));
        assertEquals(List.of("own"), drain(queue));
    }

    @Test
    void aCompositeIsNoWayAroundRights() throws JMSException {
        Session own = auto(logIn("ann"));
        Queue guarded = own.createQueue("sales." + name);
        send(own, guarded, "own");
        Session session = auto(logIn("bob"));
        Queue composite = session.createQueue("public." + name + ",sales." + name);
        assertThrows(JMSSecurityException.class, () -> send(session, composite, "foreign"));
        assertThrows(JMSSecurityException.class, () -> session.createConsumer(composite));
        assertEquals(List.of("own"), drain(guarded));
    }

    @Test
    void aRefusedSendInATransactionRefusesNothingElse() throws JMSException {
        Session session = transacted(logIn("bob"));
        Queue guarded = session.createQueue("sales." + name);
        Queue allowed = session.createQueue("public." + name);
        assertThrows(JMSException.class, () -> {
            send(session, guarded, "foreign");
            session.commit();
        });
        session.rollback();
        send(session, allowed, "allowed");
        session.commit();
        assertEquals(List.of("allowed"), drain(allowed));
        assertEquals(List.of(), drain(guarded));
    }

    @Test
    void requestAndReplyNeedNoRightsOfTheirOwn() throws JMSException {
        Session asking = auto(logIn("bob"));
        Session answering = auto(logIn("ann"));
        Queue requests = asking.createQueue("public." + name);
        MessageConsumer server = answering.createConsumer(requests);
        TemporaryQueue replies = asking.createTemporaryQueue();
        MessageConsumer consumer = asking.createConsumer(replies);
        Message request = asking.createTextMessage("ask");
        request.setJMSReplyTo(replies);
        asking.createProducer(requests).send(request);
        Message received = receive(server);
        answering.createProducer(received.getJMSReplyTo()).send(answering.createTextMessage("re: ask"));
        expect(consumer, "re: ask");
    }

    @Test
    void theBrokerSaysWhoSentAMessage() throws JMSException {
        Session session = auto(logIn("bob"));
        Queue queue = session.createQueue("public." + name);
        Message forged = session.createTextMessage("whose");
        // The property alone goes nowhere: the client reads the name from another place.
        ((ActiveMQMessage) forged).setUserID("ann");
        session.createProducer(queue).send(forged);
        assertEquals("bob", receive(session.createConsumer(queue)).getStringProperty("JMSXUserID"));
    }
}
