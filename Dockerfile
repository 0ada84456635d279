# Web by default; `docker run … celery …`, as in the Procfile, is a worker. The packages are installed in a stage of their
# own, so that pip's cache is in no layer.
FROM python:3.11-slim AS packages
COPY requirements.txt .
RUN pip install --no-cache-dir --prefix=/packages -r requirements.txt

FROM python:3.11-slim
COPY --from=packages /packages /usr/local
RUN useradd --create-home --uid 10001 coatcheck
WORKDIR /home/coatcheck
COPY wsgi.py celeryconfig.py gunicorn.conf.py ./
COPY server server
# The user cannot write bytecode, so each process would compile all of it.
RUN python -m compileall -q wsgi.py server
USER coatcheck
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/health/live')"]
CMD ["gunicorn", "wsgi"]
