// SPDX-License-Identifier: Apache-2.0
package sabir.capture;

import java.io.UTFDataFormatException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.activemq.openwire.OpenWireFormat;
import org.apache.activemq.util.ByteSequence;

/**
 * Has an old client read and write what was captured with a newer one's support of old versions: it must be the same.
 * Arguments: the folder of the files, the name that they begin with, the oldest and the newest version.
 */
public final class Replay {
    private Replay() {}

    public static void main(String[] args) throws Exception {
        int seen = 0;
        int differ = 0;
        int unreadable = 0;
        boolean lost = false;
        String connection = "";
        for (int version = Integer.parseInt(args[2]); version <= Integer.parseInt(args[3]); version++) {
            OpenWireFormat reader = null;
            OpenWireFormat writer = null;
            for (String line : Files.readAllLines(Path.of(args[0]).resolve(args[1] + "-v" + version + ".frames"))) {
                String[] words = line.split(" ");
                if (words[0].equals("=")) {
                    connection = line;
                    lost = false;
                    reader = format(words);
                    writer = format(words);
                } else if (words[0].equals("f") && !lost) {
                    byte[] frame = HexFormat.of().parseHex(words[2]);
                    Object command;
                    try {
                        command = reader.unmarshal(new ByteSequence(frame));
                    } catch (UTFDataFormatException e) {
                        // The oldest clients cannot read all that they write. What follows may need what was lost.
                        unreadable++;
                        lost = !connection.split(" ")[3].equals("0");
                        continue;
                    }
                    ByteSequence again = writer.marshal(command);
                    byte[] bytes = Arrays.copyOfRange(
                            again.getData(), again.getOffset(), again.getOffset() + again.getLength());
                    seen++;
                    if (!Arrays.equals(bytes, frame)) {
                        differ++;
                        System.out.println("version " + version + ": " + command);
                        System.out.println("  " + words[2] + "\n  " + HexFormat.of().formatHex(bytes));
                    }
                }
            }
        }
        System.out.println(seen + " frames, " + differ + " differ, " + unreadable + " cannot be read by this client");
        System.exit(differ == 0 && seen > 0 ? 0 : 1);
    }

    private static OpenWireFormat format(String[] words) {
        OpenWireFormat format = new OpenWireFormat();
        format.setVersion(Integer.parseInt(words[1]));
        format.setTightEncodingEnabled(Boolean.parseBoolean(words[2]));
        format.setCacheEnabled(!words[3].equals("0"));
        format.setStackTraceEnabled(Boolean.parseBoolean(words[4]));
        format.setSizePrefixDisabled(!Boolean.parseBoolean(words[5]));
        return format;
    }
}
