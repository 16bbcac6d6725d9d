// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.jms.Connection;
import javax.jms.JMSException;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * What one run shall do: words of the form name=value, divided by blanks.
 *
 * @param uri where the broker listens
 * @param queue where messages go and come from
 * @param producers connections that send
 * @param consumers connections that receive
 * @param sizeBytes bytes of each body
 * @param persistent whether messages are persistent
 * @param async whether persistent sends return before they are confirmed
 * @param windowBytes what a producer may have unconfirmed where sends return early; 0: no bound
 * @param messages how many are sent, or without producers received; 0: the run is measured by time
 * @param perSecond messages a second of all producers together; 0: as fast as it goes
 * @param warmUpMs how long nothing is counted
 * @param measureMs how long is counted after that
 */
record Order(String uri, String queue, int producers, int consumers, int sizeBytes, boolean persistent, boolean async,
        int windowBytes, int messages, int perSecond, long warmUpMs, long measureMs) {

    static Order parse(String line) {
        Map<String, String> words = Stream.of(line.trim().split(" ")).map(word -> word.split("=", 2))
                .collect(Collectors.toMap(word -> word[0], word -> word[1]));
        return new Order(text(words, "uri"), text(words, "queue"), number(words, "producers"),
                number(words, "consumers"), number(words, "size_bytes"), flag(words, "persistent"),
                flag(words, "async"), number(words, "window_bytes"), number(words, "messages"),
                number(words, "per_s"), number(words, "warm_up_ms"), number(words, "measure_ms"));
    }

    private static String text(Map<String, String> words, String name) {
        String value = words.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value;
    }

    private static int number(Map<String, String> words, String name) {
        return Integer.parseInt(text(words, name));
    }

    private static boolean flag(Map<String, String> words, String name) {
        return Boolean.parseBoolean(text(words, name));
    }

    /** A connection as applications have it: all that is not named here is as the client delivers it. */
    Connection connect() throws JMSException {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(uri);
        factory.setUseAsyncSend(async);
        factory.setProducerWindowSize(windowBytes);
        Connection connection = factory.createConnection();
        connection.start();
        return connection;
    }
}
