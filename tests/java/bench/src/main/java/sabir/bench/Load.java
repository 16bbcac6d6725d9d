// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/**
 * The load: the stock client, in a process of its own that serves all brokers of a measurement in turn, so that what the
 * virtual machine has learnt by one serves the others too.
 *
 * <p>Each line of standard input is one run ({@link Order}); what it saw comes out as a line of JSON ({@link Seen}). The
 * process ends with its input, or with the first run that fails.
 */
public final class Load {
    private Load() {}

    public static void main(String[] arguments) throws Exception {
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println("{\"client\":\"" + client() + "\"}");
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            Order order = Order.parse(line);
            // What an earlier run left behind must not be collected in the midst of this one.
            System.gc();
            System.out.println(run(order).json());
        }
        System.exit(0);
    }

    private static Seen run(Order order) throws Exception {
        if (order.messages() > 0) {
            return Counted.run(order);
        }
        return order.perSecond() > 0 ? Paced.run(order) : Flood.run(order);
    }

    private static String client() {
        return org.apache.activemq.ActiveMQConnectionMetaData.PROVIDER_VERSION;
    }
}
