// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.Arrays;
import java.util.Locale;

/** What one run saw. */
final class Seen {
    /** Messages sent in the whole run. */
    long sent;
    /** Sends that returned, and messages received, per second of what was counted. */
    double sentPerS;
    double receivedPerS;
    /** CPU time of the whole run. */
    double cpuS;
    /** Of what was counted: the part of all processors that this process had, of one that its busiest thread had. */
    double processShare;
    double threadShare;

    /** From the first connection to the first message, where messages are only received. */
    double firstMs;

    private double p50Us;
    private double p99Us;
    private double p999Us;

    void latencies(long[] latenciesNs, int count) {
        long[] sorted = Arrays.copyOf(latenciesNs, count);
        Arrays.sort(sorted);
        p50Us = at(sorted, 0.5);
        p99Us = at(sorted, 0.99);
        p999Us = at(sorted, 0.999);
    }

    private static double at(long[] sorted, double quantile) {
        int index = (int) Math.ceil(sorted.length * quantile) - 1;
        return sorted[Math.max(index, 0)] / 1000.0;
    }

    String json() {
        return String.format(Locale.ROOT,
                "{\"sent\":%d,\"sent_per_s\":%f,\"received_per_s\":%f,\"cpu_s\":%f,\"process_share\":%f,"
                        + "\"thread_share\":%f,\"p50_us\":%f,\"p99_us\":%f,\"p999_us\":%f,"
                        + "\"first_ms\":%f}",
                sent, sentPerS, receivedPerS, cpuS, processShare, threadShare, p50Us, p99Us, p999Us,
                firstMs);
    }
}
