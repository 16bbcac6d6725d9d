// SPDX-License-Identifier: Apache-2.0
package sabir.spring;

import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import javax.jms.ConnectionFactory;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.TextMessage;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.jms.DefaultJmsListenerContainerFactoryConfigurer;
import org.springframework.context.annotation.Bean;
import org.springframework.jms.annotation.EnableJms;
import org.springframework.jms.annotation.JmsListener;
import org.springframework.jms.config.DefaultJmsListenerContainerFactory;
import org.springframework.jms.connection.JmsTransactionManager;
import org.springframework.messaging.handler.annotation.SendTo;

/** An application as tutorials have it: listeners by annotation, all settings as Spring Boot has them. */
@SpringBootApplication(proxyBeanMethods = false)
@EnableJms
public class OrdersApplication {
    /** What the listeners have seen. */
    final BlockingQueue<String> orders = new LinkedBlockingQueue<>();
    final BlockingQueue<String> attempts = new LinkedBlockingQueue<>();
    final BlockingQueue<String> news = new LinkedBlockingQueue<>();
    final BlockingQueue<Map<String, Object>> maps = new LinkedBlockingQueue<>();

    @Bean
    static DefaultJmsListenerContainerFactory topics(ConnectionFactory connections,
            DefaultJmsListenerContainerFactoryConfigurer configurer) {
        DefaultJmsListenerContainerFactory factory = new DefaultJmsListenerContainerFactory();
        configurer.configure(factory, connections);
        factory.setPubSubDomain(true);
        return factory;
    }

    @Bean
    static JmsTransactionManager transactions(ConnectionFactory connections) {
        return new JmsTransactionManager(connections);
    }

    @JmsListener(destination = "${orders.queue}", concurrency = "2-4")
    void order(String text) {
        orders.add(text);
    }

    /** The answer to a request: in the same transaction as the request's end. */
    @JmsListener(destination = "${orders.queue}.requests")
    @SendTo("${orders.queue}.replies")
    String answer(String request) {
        return "re: " + request;
    }

    /** Fails until it is told otherwise: the container rolls back, and the message comes again. */
    @JmsListener(destination = "${orders.queue}.failing")
    void fail(Message message) throws JMSException {
        attempts.add(((TextMessage) message).getText() + " " + message.getJMSRedelivered());
        if (message.getBooleanProperty("hopeless") || !message.getJMSRedelivered()) {
            throw new IllegalStateException("the listener fails, as the test wants it");
        }
    }

    @JmsListener(destination = "${orders.queue}.news", containerFactory = "topics")
    void published(String text) {
        news.add(text);
    }

    @JmsListener(destination = "${orders.queue}.maps", selector = "region = 'EU'")
    void map(Map<String, Object> map) {
        maps.add(map);
    }
}
