// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.Queue;
import org.junit.jupiter.api.Test;

/** The simplified interface of JMS 2, as far as the client 6 has it; the client 5.18 has none. */
class SimplifiedApiTest extends JmsTest {
    private JMSContext context(int mode) {
        return closing(factory("?jms.redeliveryPolicy.initialRedeliveryDelay=1").createContext(mode));
    }

    @Test
    void aContextSendsAndReceives() throws JMSException {
        JMSContext context = context(JMSContext.AUTO_ACKNOWLEDGE);
        Queue queue = context.createQueue(name);
        context.createProducer().setPriority(7).setProperty("colour", "red").setJMSType("type").send(queue, "text");
        Message received = context.createConsumer(queue).receive(PATIENCE_MS);
        assertEquals("text", received.getBody(String.class));
        assertEquals("red", received.getStringProperty("colour"));
        assertEquals("type", received.getJMSType());
        assertEquals(7, received.getJMSPriority());
    }

    @Test
    void aTransactedContextCommitsAndRollsBack() throws JMSException {
        JMSContext context = context(JMSContext.SESSION_TRANSACTED);
        Queue queue = context.createQueue(name);
        context.createProducer().send(queue, "never");
        context.rollback();
        context.createProducer().send(queue, "once");
        context.commit();
        JMSConsumer consumer = context.createConsumer(queue);
        assertEquals("once", consumer.receive(PATIENCE_MS).getBody(String.class));
        context.rollback();
        assertEquals("once", consumer.receive(PATIENCE_MS).getBody(String.class));
        context.commit();
        assertNull(consumer.receive(ABSENCE_MS));
    }

    @Test
    void aContextAcknowledgesWhenItIsTold() throws JMSException {
        JMSContext context = context(JMSContext.CLIENT_ACKNOWLEDGE);
        Queue queue = context.createQueue(name);
        context.createProducer().send(queue, "a").send(queue, "b");
        JMSConsumer consumer = context.createConsumer(queue);
        consumer.receive(PATIENCE_MS);
        context.acknowledge();
        consumer.receive(PATIENCE_MS);
        context.close();
        assertEquals(java.util.List.of("b"), drain(queue));
    }

    @Test
    void aListenerOfAContext() throws Exception {
        JMSContext context = context(JMSContext.AUTO_ACKNOWLEDGE);
        Queue queue = context.createQueue(name);
        BlockingQueue<Message> seen = new LinkedBlockingQueue<>();
        context.createConsumer(queue).setMessageListener(seen::add);
        context.createProducer().send(queue, "heard");
        assertEquals("heard", next(seen).getBody(String.class));
    }
}
