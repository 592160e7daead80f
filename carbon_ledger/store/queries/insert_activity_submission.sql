insert into ledger.activity_submission
    (submission_id, organization_id, template, file_name, file_sha256, file_content, rows_accepted, rows_refused, submitted_by)
values
    (%(submission_id)s, %(organization_id)s, %(template)s, %(file_name)s, %(file_sha256)s, %(file_content)s, %(rows_accepted)s,
     %(rows_refused)s, %(submitted_by)s)
