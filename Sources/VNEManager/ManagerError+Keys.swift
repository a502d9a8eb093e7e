internal import OverlayKeys

/// Does what may be refused for something about a file, and says so with its name.
func explaining<Value>(_ file: String, _ work: () throws(KeysError) -> Value) throws(ManagerError) -> Value {
    do throws(KeysError) {
        return try work()
    } catch {
        let kind: ManagerError.Kind =
            switch error.cause {
            case .file: .invalid
            case .refusal: .failed
            case .unknown: .missing
            }
        throw ManagerError(kind, "\(file): \(error)")
    }
}
