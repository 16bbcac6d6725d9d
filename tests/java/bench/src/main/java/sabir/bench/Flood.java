// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;

/** As fast as it goes: counted for a time after a warm-up, and then all that was sent is received. */
final class Flood {
    private final Order order;
    private final LongAdder sent = new LongAdder();
    private final LongAdder received = new LongAdder();
    private volatile boolean stop;

    private Flood(Order order) {
        this.order = order;
    }

    static Seen run(Order order) throws Exception {
        return new Flood(order).run();
    }

    private Seen run() throws Exception {
        long cpuBefore = Usage.processNs();
        Seen seen = new Seen();
        try (Links links = new Links(order)) {
            for (int consumer = 0; consumer < order.consumers(); consumer++) {
                links.consume(message -> received.increment());
            }
            List<Thread> producers = new ArrayList<>();
            for (int producer = 0; producer < order.producers(); producer++) {
                Links.Sender sender = links.sender();
                producers.add(links.start("producer-" + producer, () -> send(sender)));
            }
            Thread.sleep(order.warmUpMs());
            count(seen);
            stop = true;
            for (Thread producer : producers) {
                producer.join(Links.PATIENCE_MS);
            }
            links.check();
            drain(links);
        }
        seen.sent = sent.sum();
        seen.cpuS = (Usage.processNs() - cpuBefore) / 1e9;
        return seen;
    }

    private void send(Links.Sender sender) throws Exception {
        while (!stop) {
            sender.send(0);
            sent.increment();
        }
    }

    private void count(Seen seen) throws InterruptedException {
        Usage before = Usage.now();
        long sentBefore = sent.sum();
        long receivedBefore = received.sum();
        Thread.sleep(order.measureMs());
        seen.sentPerS = sent.sum() - sentBefore;
        seen.receivedPerS = received.sum() - receivedBefore;
        Usage after = Usage.now();
        double seconds = after.secondsSince(before);
        seen.sentPerS /= seconds;
        seen.receivedPerS /= seconds;
        seen.processShare = after.processShareSince(before);
        seen.threadShare = after.threadShareSince(before);
    }

    /** What was sent and does not come is a failure, not a figure. */
    private void drain(Links links) throws InterruptedException {
        long deadline = System.nanoTime() + Links.PATIENCE_MS * 1_000_000;
        while (received.sum() < sent.sum()) {
            links.check();
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException(received + " of " + sent + " messages came back");
            }
            Thread.sleep(1);
        }
        if (received.sum() > sent.sum()) {
            throw new IllegalStateException("more messages came back than were sent");
        }
    }
}
