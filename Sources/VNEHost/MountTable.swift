/// The cgroup2 mounts of a `/proc/PID/mountinfo`.
struct MountTable: Hashable {
    /// A mount of a cgroup2 hierarchy.
    struct CgroupMount: Hashable {
        /// Where it is mounted, unescaped.
        var path: String
        /// Which directory of the hierarchy is its top: `/` for the (cgroup namespace's) root.
        var root: String
        /// `major:minor` of its file system.
        var device: String
    }

    /// In the order of the file: a later mount on the same path covers an earlier one.
    var cgroupMounts: [CgroupMount]

    /// Reads the text of a mountinfo file: see proc_pid_mountinfo(5). Lines that do not parse are left out.
    init(parsing text: String) {
        cgroupMounts = text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            // Optional fields lie between the sixth and a lone hyphen; the type follows it.
            guard fields.count > 6, let hyphen = fields[6...].firstIndex(of: "-"), hyphen + 1 < fields.count,
                fields[hyphen + 1] == "cgroup2"
            else { return nil }
            return CgroupMount(
                path: Self.unescape(fields[4]), root: Self.unescape(fields[3]), device: String(fields[2]))
        }
    }

    /// Undoes the `\040` escapes for white space and backslashes.
    static func unescape(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.first {
            rest = rest.dropFirst()
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (48...55).contains($0) }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
