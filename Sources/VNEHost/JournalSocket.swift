/// The journal's own protocol, by which an entry has more fields than its text: sd_journal_send(3), and
/// "Native Journal Protocol" of systemd. An entry is one datagram.
public struct JournalSocket: Sendable {
    /// Where journald listens.
    public static let systemPath = "/run/systemd/journal/socket"
    private let path: String

    /// The journal that listens at a path.
    public init(path: String = systemPath) {
        self.path = path
    }

    /// Writes an entry.
    /// - Parameter fields: in the order in which they are to be there. Names are upper-case letters, digits and
    ///   underscores; `MESSAGE` and `PRIORITY` are the text and the level of syslog(3).
    public func write(_ fields: [(name: String, value: String)]) throws(HostError) {
        try LocalDatagramSocket().send(Self.entry(fields), to: path)
    }

    /// A field a line; a value of several lines follows its name's line, behind its length as a little-endian 64-bit number.
    static func entry(_ fields: [(name: String, value: String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += Array(name.utf8)
            let text = Array(value.utf8)
            if text.contains(UInt8(ascii: "\n")) {
                bytes.append(UInt8(ascii: "\n"))
                for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: UInt64(text.count) >> UInt64(8 * shift))) }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes += text + [UInt8(ascii: "\n")]
        }
        return bytes
    }
}
