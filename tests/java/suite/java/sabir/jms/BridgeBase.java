// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnectionFactory;
import sabir.harness.Broker;

/** What tests with a real ActiveMQ at the other end of a bridge have in common. */
abstract class BridgeBase extends JmsTest {
    /** A session at that ActiveMQ. */
    final Session at(Broker bridge) throws JMSException {
        return auto(start(new ActiveMQConnectionFactory(bridge.uri())));
    }

    /** Sends until something arrives: when a topic is subscribed to over a bridge nobody tells. */
    static void awaitForwarding(Session from, Topic topic, MessageConsumer consumer) throws Exception {
        eventually("the topic is forwarded", () -> {
            try {
                send(from, topic, "first");
                return consumer.receive(ABSENCE_MS) != null;
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        passOver(consumer);
    }

    /** Takes what is still on its way. */
    static void passOver(MessageConsumer consumer) throws JMSException {
        while (consumer.receive(ABSENCE_MS) != null) {
            // Nobody wants it.
        }
    }
}
