internal import CLinux
internal import Glibc

/// One message of a datagram from the kernel.
struct NetlinkReply {
    /// NLMSG_ERROR, NLMSG_DONE, or the family's own.
    var type: UInt16
    /// NLM_F_….
    var flags: UInt16
    /// The sequence number of the request that it answers.
    var sequence: UInt32
    /// What follows the header.
    var payload: ArraySlice<UInt8>

    /// Takes a datagram apart. Throws where a length leads out of it.
    static func split(_ datagram: [UInt8]) throws(HostError) -> [NetlinkReply] {
        var replies: [NetlinkReply] = []
        var rest = datagram[...]
        while !rest.isEmpty {
            guard let length = rest.number(at: 0, as: UInt32.self), let type = rest.number(at: 4, as: UInt16.self),
                let flags = rest.number(at: 6, as: UInt16.self), let sequence = rest.number(at: 8, as: UInt32.self),
                length >= 16, length <= rest.count
            else { throw .system("read", "a netlink message", code: EBADMSG) }
            let end = rest.startIndex + Int(length)
            replies.append(
                NetlinkReply(
                    type: type, flags: flags, sequence: sequence, payload: rest[(rest.startIndex + 16)..<end]))
            rest = rest[min(rest.startIndex + (Int(length) + 3) / 4 * 4, rest.endIndex)...]
        }
        return replies
    }

    /// The attributes behind a family header of this many bytes, by type without flags; the last of a type counts.
    func attributes(after header: Int) -> [Int: ArraySlice<UInt8>] {
        Self.attributes(payload.dropFirst(header))
    }

    /// Takes a run of attributes apart; what is cut short is left out.
    static func attributes(_ bytes: ArraySlice<UInt8>) -> [Int: ArraySlice<UInt8>] {
        var attributes: [Int: ArraySlice<UInt8>] = [:]
        var rest = bytes
        while let length = rest.number(at: 0, as: UInt16.self), let type = rest.number(at: 2, as: UInt16.self),
            length >= 4, length <= rest.count
        {
            // The upper two bits say that it is nested, or in network order.
            attributes[Int(type & 0x3fff)] = rest[(rest.startIndex + 4)..<(rest.startIndex + Int(length))]
            rest = rest[min(rest.startIndex + (Int(length) + 3) / 4 * 4, rest.endIndex)...]
        }
        return attributes
    }
}

extension ArraySlice<UInt8> {
    /// The number at an offset from the slice's start, in host byte order; nil if it does not lie within.
    func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type) -> Number? {
        let size = Number.bitWidth / 8
        guard offset >= 0, offset + size <= count else { return nil }
        var value: Number = 0
        for index in 0..<size {
            #if _endian(little)
                let byte = self[startIndex + offset + size - 1 - index]
            #else
                let byte = self[startIndex + offset + index]
            #endif
            value = value << 8 | Number(truncatingIfNeeded: byte)
        }
        return value
    }

    /// The number at an offset from the slice's start, in network byte order; nil if it does not lie within.
    func bigEndian<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type) -> Number? {
        number(at: offset, as: type).map { Number(bigEndian: $0) }
    }

    /// The text up to the first zero byte.
    var text: String {
        String(decoding: prefix { $0 != 0 }, as: UTF8.self)
    }
}
