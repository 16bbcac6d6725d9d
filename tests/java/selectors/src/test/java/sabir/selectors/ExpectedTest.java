// SPDX-License-Identifier: Apache-2.0
package sabir.selectors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** The file that others read is what ActiveMQ says today. */
class ExpectedTest {
    @Test
    void theFileIsWhatTheProgramWrites() throws Exception {
        if (Boolean.getBoolean("sabir.selectors.write")) {
            Expected.main(new String[] {"expected"});
        }
        assertEquals(Files.readString(Path.of("expected")), Expected.write(),
                "write it again with -Dsabir.selectors.write=true");
    }

    @Test
    void thereAreAtLeastFiveHundredCases() throws Exception {
        long cases = Files.readAllLines(Path.of("expected")).stream().filter(line -> line.startsWith("case\t")).count();
        assertTrue(cases >= 500, cases + " cases");
    }
}
