import Glibc
import Server

/// What the program prints.
enum Output {
    static func show(_ lines: [String]) {
        for line in lines { write("> \(line)\n") }
    }

    static func show(user name: String, _ answer: AdminAnswer) {
        if let user = answer.user {
            write("Copy \(name) PGP public key:\n\(user.publicKey)\(user.publicKey.hasSuffix("\n") ? "" : "\n")")
            write("Pub key hash:\n    - sha256: \(user.sha256)\n    - sha1: \(user.sha1)\n    - md5: \(user.md5)\n")
            show(bundle: user)
        }
        show(answer.lines)
    }

    static func show(bundle user: AdminUserAnswer) {
        write("Use this key for TLS Client Certificate Authentication:\n\(user.bundle)")
    }

    /// To standard output. What cannot be written (a closed pipe) is lost; there is nobody to tell.
    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// Rows under a line of headings, columns as wide as they need to be.
    static func showTable(_ rows: [[String: String]], _ columns: [String]) {
        let table = [columns.map { $0.uppercased() }] + rows.map { row in columns.map { row[$0] ?? "" } }
        let widths = columns.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        for row in table {
            var line = ""
            for (cell, width) in zip(row, widths) { line += cell + String(repeating: " ", count: width - cell.count + 2) }
            while line.hasSuffix(" ") { line.removeLast() }
            write(line + "\n")
        }
    }
}
