import Client
import Syscalls
import Transfer

/// A directory in a volume, as `--fs` names it: `./vault`, or `./vault:/path/in/it`.
struct TreeLocation: Equatable {
    /// The data directory of the volume.
    var dataDirectory: String
    /// From the volume's root, which is "/".
    var path: String

    init(parsing text: String) throws(Failure) {
        switch try Place(text) {
        case .volume(let directory, let inner, _):
            dataDirectory = directory
            path = inner.description
        // Without a path, all of the volume is meant; a directory of that name wins over a remote.
        case .local(let directory) where directory.contains("/") || (try? PathKind.of(directory)) == .directory:
            dataDirectory = directory
            path = "/"
        case .file(let place, _):
            throw Failure(.usage, "is no volume of this machine", object: "\(place)", hint: "write ./vault or ./vault:/path")
        case .local(let name), .remote(let name, _, _):
            throw Failure(
                .usage, "is no volume of this machine", object: name, hint: "write ./vault or ./vault:/path")
        }
    }
}
