import CLibFuzzer
import Glibc

// `vne-fuzz --target=NAME`, and libFuzzer's own arguments; libFuzzer leaves out what begins with two hyphens, and hands it
// on to the processes that it starts itself.
extension FuzzTarget {
    /// The target that the command line names.
    static let asked: FuzzTarget? = {
        let prefix = "--target="
        let argument = CommandLine.arguments.first { $0.hasPrefix(prefix) }
        return argument.flatMap { FuzzTarget(rawValue: String($0.dropFirst(prefix.count))) }
    }()
}

guard FuzzTarget.asked != nil else {
    let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
    print("usage: vne-fuzz --target=\(names) [LIBFUZZER-ARGUMENT]... [CORPUS]...")
    exit(2)
}

var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
let status = unsafe LLVMFuzzerRunDriver(&count, &arguments) { data, size in
    let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: size))
    do {
        try FuzzTarget.asked?.run(bytes)
    } catch {
        fatalError("\(error)")
    }
    return 0
}
exit(status)
