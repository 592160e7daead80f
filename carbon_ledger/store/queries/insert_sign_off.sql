insert into audit.sign_off
    (organization_id, subject_kind, snapshot_id, cell_id, entry_id, method, seed, size, subject_sha256, verdict, note,
     key_id, signed_by, person_id)
values
    (%(organization_id)s, %(kind)s, %(snapshot_id)s, %(cell_id)s, %(entry_id)s, %(method)s, %(seed)s, %(size)s,
     %(subject_sha256)s, %(verdict)s, %(note)s, %(key_id)s, %(signed_by)s, %(person_id)s)
returning sign_off_id
