// SPDX-License-Identifier: Apache-2.0
package sabir.harness;

import java.util.Map;
import java.util.TreeMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/** Prints one line for the suite, and with -Dsabir.test.classes=true one for each of its classes. */
public final class Summary implements TestExecutionListener {
    private static final class Count {
        int tests;
        int failed;
        long startedNs = System.nanoTime();
        long tookNs;
    }

    private final Map<String, Count> classes = new TreeMap<>();
    private final long startedNs = System.nanoTime();
    private int skipped;

    @Override
    public synchronized void executionStarted(TestIdentifier identifier) {
        if (identifier.isTest()) {
            classes.computeIfAbsent(classOf(identifier), name -> new Count());
        }
    }

    @Override
    public synchronized void executionSkipped(TestIdentifier identifier, String reason) {
        skipped++;
    }

    @Override
    public synchronized void executionFinished(TestIdentifier identifier, TestExecutionResult result) {
        boolean failed = result.getStatus() == TestExecutionResult.Status.FAILED;
        skipped += result.getStatus() == TestExecutionResult.Status.ABORTED ? 1 : 0;
        if (identifier.isTest() || failed) {
            Count count = classes.computeIfAbsent(classOf(identifier), name -> new Count());
            count.tests += identifier.isTest() ? 1 : 0;
            count.failed += failed ? 1 : 0;
            count.tookNs = System.nanoTime() - count.startedNs;
        }
    }

    @Override
    public synchronized void testPlanExecutionFinished(TestPlan plan) {
        if (Boolean.getBoolean("sabir.test.classes")) {
            classes.forEach((name, count) -> System.out.printf("  %-28s %3d tests  %2d failed  %5.1f s%n", name,
                    count.tests, count.failed, count.tookNs / 1e9));
        }
        int tests = classes.values().stream().mapToInt(count -> count.tests).sum();
        int failed = classes.values().stream().mapToInt(count -> count.failed).sum();
        System.out.printf("%s against %s: %d passed, %d failed, %d skipped, %.0f s%n",
                System.getProperty("sabir.test.suite", "suite"), Peer.current().name().toLowerCase(),
                Math.max(0, tests - failed), failed, skipped, (System.nanoTime() - startedNs) / 1e9);
    }

    private static String classOf(TestIdentifier identifier) {
        TestSource source = identifier.getSource().orElse(null);
        String name = source instanceof MethodSource method ? method.getClassName() : identifier.getDisplayName();
        return name.substring(name.lastIndexOf('.') + 1);
    }
}
